import { float32FromFloat16 } from '@knn-lm/common';
import type { FloatDtype } from '../weights.js';

/** Element types of torch's storages, with the size of an element in bytes. */
export const elementBytes = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
} as const;

/** Name of an element type. */
export type ElementType = keyof typeof elementBytes;

const storageClasses = new Map<string, ElementType>([
  ['DoubleStorage', 'float64'],
  ['FloatStorage', 'float32'],
  ['HalfStorage', 'float16'],
  ['BFloat16Storage', 'bfloat16'],
  ['LongStorage', 'int64'],
  ['IntStorage', 'int32'],
  ['ShortStorage', 'int16'],
  ['CharStorage', 'int8'],
  ['ByteStorage', 'uint8'],
  ['UntypedStorage', 'uint8'],
  ['BoolStorage', 'bool'],
]);

/** Element type of a storage class such as `torch.FloatStorage` or `torch.cuda.HalfStorage`. */
export function elementTypeOf(storageClass: string): ElementType | undefined {
  const [, name] = /^torch\.(?:cuda\.|storage\.)?(\w+)$/.exec(storageClass) ?? [];
  return name === undefined ? undefined : storageClasses.get(name);
}

/** Whether elements of this type can be read as float32. */
export function isFloat(type: ElementType): type is FloatDtype {
  return type === 'float32' || type === 'float16' || type === 'bfloat16' || type === 'float64';
}

/**
 * Converts little-endian elements to float32: halves exactly, doubles rounded as `Tensor.float()` does.
 *
 * @param bytes - whole elements; aligned to the element's size in its buffer
 * @param type - their type
 */
export function float32FromBytes(bytes: Uint8Array, type: FloatDtype): Float32Array {
  const { buffer, byteOffset } = bytes;
  const count = bytes.byteLength / elementBytes[type];
  if (type === 'float32') return new Float32Array(buffer, byteOffset, count);
  if (type === 'float16') return float32FromFloat16(new Uint16Array(buffer, byteOffset, count));
  if (type === 'float64') return Float32Array.from(new Float64Array(buffer, byteOffset, count));
  const halves = new Uint16Array(buffer, byteOffset, count);
  // bfloat16 is the upper half of a float32.
  return new Float32Array(Uint32Array.from(halves, (half) => (half << 16) >>> 0).buffer);
}
