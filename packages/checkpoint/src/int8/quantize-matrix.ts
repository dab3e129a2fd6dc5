/** Largest magnitude of a weight; -128 is left out, so that the range is symmetric and no zero point is needed. */
const largest = 127;

/** A row whose largest weight is below this is a row of zeros. */
const smallest = 1e-30;

/** Outputs handled together, so that the transposed bytes are written a cache line at a time. */
const outputsTogether = 64;

/** A matrix in 8 bits. */
export interface QuantizedMatrix {
  /** `[K, N]`: transposed. */
  readonly weight: Int8Array;
  /** `[N]`: a weight is its 8-bit number times its output's factor. */
  readonly scale: Float32Array;
}

/**
 * Rounds the weights of a linear layer to 8 bits, with one factor for each output: its largest weight becomes 127.
 *
 * @param outputs - number of outputs (N)
 * @param inputs - number of inputs (K)
 * @param readRows - gives `count` rows of torch's `[N, K]` weights from row `start` on
 * @example
 * ```ts
 * const rows = Float32Array.of(1, -0.5, 0, 2);
 * quantizeMatrix(2, 2, (start, count) => rows.subarray(start * 2, (start + count) * 2));
 * // weight [127, 0, -64, 127] (input 0 of both outputs, then input 1), scale [1 / 127, 2 / 127]
 * ```
 */
export function quantizeMatrix(
  outputs: number,
  inputs: number,
  readRows: (start: number, count: number) => Float32Array,
): QuantizedMatrix {
  const weight = new Int8Array(inputs * outputs);
  const scale = new Float32Array(outputs);
  for (let start = 0; start < outputs; start += outputsTogether) {
    const count = Math.min(outputsTogether, outputs - start);
    const rows = readRows(start, count);
    const factors = new Float64Array(count);
    for (let n = 0; n < count; n++) {
      const range = largestMagnitude(rows, n * inputs, inputs);
      // Where all weights are 0, or too small for their factor to be a normal number, they become 0 with any factor.
      scale[start + n] = range < smallest ? 1 : range / largest;
      factors[n] = 1 / scale[start + n];
    }
    for (let k = 0; k < inputs; k++) {
      const at = k * outputs + start;
      for (let n = 0; n < count; n++) weight[at + n] = Math.round(rows[n * inputs + k] * factors[n]);
    }
  }
  return { weight, scale };
}

function largestMagnitude(values: Float32Array, start: number, count: number): number {
  let range = 0;
  for (let i = start; i < start + count; i++) range = Math.max(range, Math.abs(values[i]));
  return range;
}
