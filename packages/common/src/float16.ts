const scratchF32 = new Float32Array(1);
const scratchU32 = new Uint32Array(scratchF32.buffer);

/**
 * Rounds a number to IEEE 754 half precision (round to nearest, ties to even), as numpy and ONNX `Cast` do.
 *
 * @param value - any number; it is first rounded to single precision
 * @returns the 16 bits as an unsigned integer; overflow gives infinity, NaN a quiet NaN
 */
export function float16FromNumber(value: number): number {
  scratchF32[0] = value;
  return float16FromBits(scratchU32[0]);
}

function float16FromBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65536 and above, infinity
  if (magnitude >= 0x38800000) {
    // Normal half: rebias the exponent (127 - 15 = 112), then round the 13 dropped bits to even.
    const rebiased = magnitude - 0x38000000;
    return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
  }
  if (magnitude < 0x33000000) return sign; // below half of the smallest subnormal
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23); // 14 for the largest subnormal exponent
  const half = 1 << (shift - 1);
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  return sign | (rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept);
}

/**
 * Widens half precision to a number, exactly.
 *
 * @param half - 16 bits as an unsigned integer
 */
export function numberFromFloat16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/**
 * Rounds single to half precision, element by element.
 *
 * @param source - `[n]` float32
 * @param target - `[n]` receives the 16-bit patterns; a new array when left out
 * @returns `target`
 */
export function float16FromFloat32(
  source: Float32Array,
  target: Uint16Array = new Uint16Array(source.length),
): Uint16Array {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < bits.length; i++) target[i] = float16FromBits(bits[i]);
  return target;
}

let widened: Float32Array | undefined;

/**
 * Widens half to single precision, element by element, through a table of all 65,536 values.
 *
 * @param source - `[n]` 16-bit patterns
 * @param target - `[n]` float32; a new array when left out
 * @returns `target`
 */
export function float32FromFloat16(
  source: Uint16Array,
  target: Float32Array = new Float32Array(source.length),
): Float32Array {
  widened ??= Float32Array.from({ length: 65536 }, (_, half) => numberFromFloat16(half));
  for (let i = 0; i < source.length; i++) target[i] = widened[source[i]]!;
  return target;
}
