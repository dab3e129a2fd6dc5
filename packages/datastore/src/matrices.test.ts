import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { multiplyAdd } from './matrix-product.js';
import { randomRotation } from './random-rotation.js';
import { symmetricEigen } from './symmetric-eigen.js';

describe('multiplyAdd', () => {
  it.each([Float32Array, Float64Array])('%o: the addon and TypeScript give the same bits', (Type) => {
    const size = fc.integer({ min: 1, max: 70 });
    fc.assert(
      fc.property(size, size, size, fc.integer(), (rows, columns, inner, seed) => {
        const some = (length: number, k: number) =>
          new Type(Array.from({ length }, (_, i) => Math.sin(seed + k * i * i)));
        const [a, b] = [some(rows * inner, 1.1), some(inner * columns, 0.7)];
        const [native, portable] = [some(rows * columns, 3), some(rows * columns, 3)];
        multiplyAdd<Float32Array | Float64Array>(a, b, native, { rows, columns, inner });
        multiplyAdd<Float32Array | Float64Array>(a, b, portable, { rows, columns, inner }, 'portable');
        expect(native).toEqual(portable);
      }),
      { numRuns: 50 },
    );
  });

  it('adds to what is there', () => {
    const c = Float32Array.of(10, 20, 30, 40);
    multiplyAdd(Float32Array.of(1, 2, 3, 4), Float32Array.of(5, 6, 7, 8), c, {
      rows: 2,
      columns: 2,
      inner: 2,
    });
    expect([...c]).toEqual([29, 42, 73, 90]);
  });
});

describe('symmetricEigen', () => {
  it('of simple matrices', () => {
    const diagonal = symmetricEigen(Float64Array.of(3, 0, 0, 0, -1, 0, 0, 0, 7), 3);
    expect([...diagonal.values]).toEqual([7, 3, -1]);
    expect([...symmetricEigen(Float64Array.of(5), 1).values]).toEqual([5]);
    expect([...symmetricEigen(new Float64Array(16), 4).values]).toEqual([0, 0, 0, 0]);
    const { values } = symmetricEigen(Float64Array.of(2, 1, 1, 2), 2);
    expect(values[0]).toBeCloseTo(3, 14);
    expect(values[1]).toBeCloseTo(1, 14);
  });

  it('has orthogonal vectors that the matrix stretches by the values', () => {
    // Numbers without all their digits (below 1e-308) have no eigenvalues to twelve of them.
    const element = fc
      .double({ min: -1e3, max: 1e3, noNaN: true })
      .map((x) => (Math.abs(x) < 1e-200 ? 0 : x));
    const matrices = fc
      .integer({ min: 1, max: 9 })
      .chain((n) => fc.array(element, { minLength: n * n, maxLength: n * n }));
    fc.assert(
      fc.property(matrices, (elements) => {
        const n = Math.sqrt(elements.length);
        const mirrored = (at: number) => Math.max(at, (at % n) * n + Math.floor(at / n));
        const matrix = Float64Array.from(elements, (_, at) => elements[mirrored(at)]);
        const { values, vectors } = symmetricEigen(matrix, n);
        const scale = Math.max(...elements.map(Math.abs), 1e-300);
        for (let k = 0; k < n; k++) {
          const vector = vectors.subarray(k * n, (k + 1) * n);
          if (k > 0) expect(values[k]).toBeLessThanOrEqual(values[k - 1]);
          for (let i = 0; i < n; i++) {
            const stretched = vector.reduce((sum, value, j) => sum + matrix[i * n + j] * value, 0);
            expect(Math.abs(stretched - values[k] * vector[i]) / scale).toBeLessThan(1e-12);
            const product = vector.reduce((sum, value, j) => sum + value * vectors[i * n + j], 0);
            expect(Math.abs(product - (i === k ? 1 : 0))).toBeLessThan(1e-12);
          }
        }
      }),
    );
  });
});

describe('randomRotation', () => {
  it('is orthogonal, and the same for the same seed', () => {
    const n = 40;
    const rotation = randomRotation(n, 3);
    const product = new Float64Array(n * n);
    const transposed = Float64Array.from(rotation, (_, i) => rotation[(i % n) * n + Math.floor(i / n)]);
    multiplyAdd(rotation, transposed, product, { rows: n, columns: n, inner: n });
    const worst = product.reduce(
      (max, value, i) => Math.max(max, Math.abs(value - (i % (n + 1) === 0 ? 1 : 0))),
      0,
    );
    expect(worst).toBeLessThan(1e-14);
    expect(randomRotation(n, 3)).toEqual(rotation);
    expect(randomRotation(n, 4)).not.toEqual(rotation);
  });
});
