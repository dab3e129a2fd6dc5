import { crc32 } from 'node:zlib';
import { PyGlobal, PyObject, PyReference, type PyValue } from '../../src/pickle/values.js';
import { writePickle } from './pickle-writer.js';

/** A storage to write: its bytes, and torch's class name. */
export interface TestStorage {
  readonly className: string;
  readonly itemBytes: number;
  readonly bytes: Uint8Array;
}

/** A storage of float32 values. */
export function floatStorage(values: readonly number[]): TestStorage {
  return {
    className: 'FloatStorage',
    itemBytes: 4,
    bytes: new Uint8Array(Float32Array.from(values).buffer),
  };
}

/** The record of a tensor that views storage `key`. */
export function tensorRecord(
  storages: ReadonlyMap<string, TestStorage>,
  key: string,
  shape: number[],
  strides: number[],
  offset = 0,
): PyObject {
  const { className, bytes, itemBytes } = storages.get(key)!;
  const id: PyValue = ['storage', new PyGlobal('torch', className), key, 'cpu', bytes.length / itemBytes];
  const rebuild = new PyGlobal('torch._utils', '_rebuild_tensor_v2');
  return new PyObject(rebuild, [new PyReference(id), offset, shape, strides, false, new Map()]);
}

/** An `argparse.Namespace`. */
export function namespace(settings: Readonly<Record<string, PyValue>>): PyObject {
  const record = new PyObject(new PyGlobal('argparse', 'Namespace'), []);
  record.state = new Map(Object.entries(settings));
  return record;
}

/** A file in the format of torch 1.6 and later. */
export function writeZip(root: PyValue, storages: ReadonlyMap<string, TestStorage>): Buffer {
  const files: [string, Uint8Array][] = [['archive/data.pkl', writePickle(root)]];
  for (const [key, { bytes }] of storages) files.push([`archive/data/${key}`, bytes]);
  return zipFiles(files);
}

/** A zip archive of stored files; with 64-bit fields throughout when `wide`. */
export function zipFiles(files: readonly [string, Uint8Array][], wide = false): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, data] of files) {
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(Buffer.byteLength(name), 26);
    parts.push(local, Buffer.from(name), Buffer.from(data));
    directory.push(directoryEntry(name, data, offset, wide));
    offset += local.length + Buffer.byteLength(name) + data.length;
  }
  const entries = Buffer.concat(directory);
  return Buffer.concat([...parts, entries, directoryEnd(files.length, entries.length, offset, wide)]);
}

function directoryEntry(name: string, data: Uint8Array, offset: number, wide: boolean): Buffer {
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt32LE(crc32(data), 16);
  entry.writeUInt32LE(wide ? 0xffffffff : data.length, 20);
  entry.writeUInt32LE(wide ? 0xffffffff : data.length, 24);
  entry.writeUInt16LE(Buffer.byteLength(name), 28);
  entry.writeUInt32LE(wide ? 0xffffffff : offset, 42);
  if (!wide) return Buffer.concat([entry, Buffer.from(name)]);
  const extra = Buffer.alloc(28);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(24, 2);
  extra.writeBigUInt64LE(BigInt(data.length), 4);
  extra.writeBigUInt64LE(BigInt(data.length), 12);
  extra.writeBigUInt64LE(BigInt(offset), 20);
  entry.writeUInt16LE(extra.length, 30);
  return Buffer.concat([entry, Buffer.from(name), extra]);
}

function directoryEnd(count: number, byteLength: number, offset: number, wide: boolean): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(wide ? 0xffff : count, 10);
  end.writeUInt32LE(wide ? 0xffffffff : byteLength, 12);
  end.writeUInt32LE(wide ? 0xffffffff : offset, 16);
  if (!wide) return end;
  const record = Buffer.alloc(76);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(byteLength), 40);
  record.writeBigUInt64LE(BigInt(offset), 48);
  record.writeUInt32LE(0x07064b50, 56);
  record.writeBigUInt64LE(BigInt(offset + byteLength), 64);
  return Buffer.concat([record, end]);
}

/** A file in the format before torch 1.6. */
export function writeLegacy(root: PyValue, storages: ReadonlyMap<string, TestStorage>): Buffer {
  const parts = [
    writePickle(0x1950a86a20f9469cfc6cn),
    writePickle(1001),
    writePickle(new Map<PyValue, PyValue>([['little_endian', true]])),
    writePickle(root),
    writePickle([...storages.keys()]),
  ];
  for (const { bytes, itemBytes } of storages.values()) {
    const count = Buffer.alloc(8);
    count.writeBigInt64LE(BigInt(bytes.length / itemBytes));
    parts.push(count, Buffer.from(bytes));
  }
  return Buffer.concat(parts);
}
