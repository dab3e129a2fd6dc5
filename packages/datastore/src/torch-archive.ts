import { crc32 } from 'node:zlib';

/*
 * The zip archives of `torch.save` and `torch.load` (torch/csrc/jit/serialization, torch/serialization.py): entries that
 * are stored, not packed, in one folder; `data.pkl` describes the tensors, `data/0`, `data/1`… hold their elements.
 */

/** Entries beyond this many belong to something larger than two tensors. */
const maxEntries = 64;

/** A float32 tensor. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Writes tensors as `torch.save(OrderedDict(...))` does, so that `torch.load` reads them. */
export function torchArchive(tensors: readonly NamedTensor[]): Uint8Array {
  const entries: [name: string, data: Uint8Array][] = [['data.pkl', pickle(tensors)]];
  for (const [i, { data }] of tensors.entries()) entries.push([`data/${i}`, data]);
  entries.push(['version', Buffer.from('3\n')]);
  return zip(entries.map(([name, data]) => [`archive/${name}`, data]));
}

/** A pickle, protocol 2, of an OrderedDict of tensors. */
function pickle(tensors: readonly NamedTensor[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const code = (text: string) => parts.push(Buffer.from(text, 'latin1'));
  const int = (value: number) => {
    const bytes = Buffer.alloc(5);
    bytes.write('J');
    bytes.writeInt32LE(value, 1);
    parts.push(bytes);
  };
  const string = (text: string) => {
    const bytes = Buffer.alloc(5 + text.length);
    bytes.write('X');
    bytes.writeUInt32LE(text.length, 1);
    bytes.write(text, 5);
    parts.push(bytes);
  };
  const tuple = (values: readonly number[]) => {
    code('(');
    values.forEach(int);
    code('t');
  };
  const emptyDictionary = 'ccollections\nOrderedDict\n)R';
  code(`\x80\x02${emptyDictionary}(`);
  for (const [i, { name, shape }] of tensors.entries()) {
    string(name);
    code('ctorch._utils\n_rebuild_tensor_v2\n((');
    string('storage');
    code('ctorch\nFloatStorage\n');
    string(String(i));
    string('cpu');
    int(shape.reduce((product, size) => product * size, 1));
    code('tQ');
    int(0);
    tuple(shape);
    tuple(shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1)));
    code(`\x89${emptyDictionary}tR`);
  }
  code('u.');
  return Buffer.concat(parts);
}

function zip(entries: readonly (readonly [name: string, data: Uint8Array])[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const [name, data] of entries) {
    // What both headers share: version, flags, method (stored), time and date, checksum, sizes, lengths.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(10, 0);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(name.length, 22);
    parts.push(Buffer.from('PK\x03\x04'), common, Buffer.from(name), data);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x0a\0'), common, rest, Buffer.from(name));
    offset += 30 + name.length + data.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}

/**
 * Reads the elements of an archive's tensors in the order in which they were saved, and the names in its description.
 * The description is not executed, nor parsed: two tensors of a known form do not need it.
 *
 * @throws RangeError when the bytes are no such archive
 */
export function readTorchArchive(bytes: Uint8Array): { description: string; storages: Uint8Array[] } {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = view.lastIndexOf('PK\x05\x06');
  if (end < 0) throw new RangeError('it has no directory');
  const count = view.readUInt16LE(end + 10);
  if (count > maxEntries) throw new RangeError(`it has ${count} entries`);
  const entries = new Map<string, Uint8Array>();
  let at = view.readUInt32LE(end + 16);
  for (let i = 0; i < count; i++) {
    const nameLength = view.readUInt16LE(at + 28);
    const [size, offset] = [view.readUInt32LE(at + 24), view.readUInt32LE(at + 42)];
    if (view.readUInt16LE(at + 10) !== 0) throw new RangeError('an entry is packed');
    const name = view.toString('utf8', at + 46, at + 46 + nameLength);
    const start = offset + 30 + view.readUInt16LE(offset + 26) + view.readUInt16LE(offset + 28);
    if (start + size > view.length) throw new RangeError(`${name} ends beyond the end`);
    const data = view.subarray(start, start + size);
    if (crc32(data) !== view.readUInt32LE(at + 16))
      throw new RangeError(`${name} does not have its checksum`);
    entries.set(name.slice(name.indexOf('/') + 1), data);
    at += 46 + nameLength + view.readUInt16LE(at + 30) + view.readUInt16LE(at + 32);
  }
  const description = Buffer.from(entries.get('data.pkl') ?? []).toString('latin1');
  const storages: Uint8Array[] = [];
  for (let data; (data = entries.get(`data/${storages.length}`)) !== undefined;) storages.push(data);
  return { description, storages };
}
