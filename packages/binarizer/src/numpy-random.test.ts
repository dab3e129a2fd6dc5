import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { NumpyRandomState, numpySeedOf } from './numpy-random.js';

describe('NumpyRandomState', () => {
  it('permutes as numpy.random.seed(1); numpy.random.permutation(10)', () => {
    expect([...new NumpyRandomState(1).permutation(10)]).toEqual([2, 9, 6, 4, 0, 3, 1, 7, 8, 5]);
  });

  it('permutes as numpy.random.seed(123456789); numpy.random.permutation(1000)', () => {
    const permutation = new NumpyRandomState(123456789).permutation(1000);
    expect([...permutation.slice(0, 8)]).toEqual([947, 863, 731, 526, 692, 674, 230, 551]);
    // hashlib.sha256(numpy.random.permutation(1000).astype('<i4').tobytes()).hexdigest()
    const digest = createHash('sha256').update(new Uint8Array(permutation.buffer)).digest('hex');
    expect(digest).toBe('75e568d829625bb69ab1c472cf125823ed78cf320229a1a921c0eee1befe5fe0');
  });
});

describe('numpySeedOf', () => {
  it('gives int(hash((1, 0, i)) % 1e6)', () => {
    expect([0, 1, 2, 3, 4].map((i) => numpySeedOf([1, 0, i]))).toEqual([
      974528, 277952, 724928, 355392, 210432,
    ]);
  });

  it('draws as numpy.random.randint(0, i + 4) with that seed', () => {
    const draws = Array.from({ length: 10 }, (_, i) =>
      new NumpyRandomState(numpySeedOf([1, 0, i])).interval(i + 3),
    );
    expect(draws).toEqual([3, 1, 3, 3, 6, 7, 5, 10, 0, 11]);
  });
});
