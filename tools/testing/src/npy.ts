import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';

/** A NumPy array: its shape and its elements in C order. float16 stays as 16-bit patterns. */
export interface NpyArray {
  /** Length of each axis. */
  readonly shape: readonly number[];
  /** NumPy's notation, such as `<f4`. */
  readonly dtype: string;
  /** Elements in C order. */
  readonly data: Float32Array | Float64Array | Int32Array | BigInt64Array | Uint16Array | Uint8Array;
}

const arrayTypes = {
  '<f4': Float32Array,
  '<f8': Float64Array,
  '<i4': Int32Array,
  '<i8': BigInt64Array,
  '<f2': Uint16Array,
  '<u2': Uint16Array,
  '|u1': Uint8Array,
} as const;

/** Reads a `.npy` file (format 1.0, C order). */
export function readNpy(path: string): NpyArray {
  return parseNpy(readFileSync(path));
}

function parseNpy(bytes: Uint8Array): NpyArray {
  const headerLength = bytes[8] | (bytes[9] << 8);
  const header = new TextDecoder('latin1').decode(bytes.subarray(10, 10 + headerLength));
  const dtype = /'descr': '([^']+)'/.exec(header)?.[1] ?? '';
  if (/'fortran_order': True/.test(header)) throw new Error('Fortran order');
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? '')
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number);
  const type = arrayTypes[dtype as keyof typeof arrayTypes];
  if (type === undefined) throw new Error(`dtype ${dtype} is not read here`);
  // A copy with a buffer of its own, so that the element alignment is right whatever the header's length.
  return { shape, dtype, data: new type(new Uint8Array(bytes.subarray(10 + headerLength)).buffer) };
}

/** Reads all arrays of an `.npz` file (a zip of `.npy` files, stored or deflated), by name. */
export function readNpz(path: string): Map<string, NpyArray> {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  const arrays = new Map<string, NpyArray>();
  let entry = view.getUint32(end + 16, true);
  for (let count = view.getUint16(end + 10, true); count > 0; count--) {
    const method = view.getUint16(entry + 10, true);
    const size = view.getUint32(entry + 20, true);
    const nameLength = view.getUint16(entry + 28, true);
    const name = bytes.toString('utf8', entry + 46, entry + 46 + nameLength);
    const local = view.getUint32(entry + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const stored = bytes.subarray(start, start + size);
    arrays.set(name.replace(/\.npy$/, ''), parseNpy(method === 0 ? stored : inflateRawSync(stored)));
    entry += 46 + nameLength + view.getUint16(entry + 30, true) + view.getUint16(entry + 32, true);
  }
  return arrays;
}
