import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quantizeMatrix } from './quantize-matrix.js';

const quantize = (outputs: number, inputs: number, rows: Float32Array) =>
  quantizeMatrix(outputs, inputs, (start, count) => rows.slice(start * inputs, (start + count) * inputs));

describe('quantizeMatrix', () => {
  it('transposes, and gives each output its own factor', () => {
    const { weight, scale } = quantize(2, 3, Float32Array.of(1, -0.25, 0, 2, 0, -2));
    expect([...weight]).toEqual([127, 127, -32, 0, 0, -127]);
    expect([...scale]).toEqual([Math.fround(1 / 127), Math.fround(2 / 127)]);
  });

  it('keeps zeros and almost zeros, and gives them a factor that can be divided by', () => {
    const { weight, scale } = quantize(1, 2, Float32Array.of(0, 1e-44));
    expect([...weight, ...scale]).toEqual([0, 0, 1]);
  });

  it('shows numbers that are not finite in the factor', () => {
    expect(quantize(1, 2, Float32Array.of(1, NaN)).scale.every(Number.isFinite)).toBe(false);
    expect(quantize(1, 2, Float32Array.of(1, Infinity)).scale.every(Number.isFinite)).toBe(false);
  });

  it('is within half a step of every weight', () => {
    const shapes = fc.record({
      outputs: fc.integer({ min: 1, max: 150 }),
      inputs: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(
        shapes,
        fc.infiniteStream(fc.float({ min: -100, max: 100, noNaN: true })),
        (shape, stream) => {
          const { outputs, inputs } = shape;
          const rows = Float32Array.from({ length: outputs * inputs }, () => stream.next().value as number);
          const { weight, scale } = quantize(outputs, inputs, rows);
          for (let n = 0; n < outputs; n++) {
            for (let k = 0; k < inputs; k++) {
              const error = Math.abs(weight[k * outputs + n] * scale[n] - rows[n * inputs + k]);
              if (error > scale[n] * 0.5001 + 1e-30)
                throw new Error(`output ${n}, input ${k}: off by ${error}`);
            }
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});
