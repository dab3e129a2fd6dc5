// Files that were made to do harm: they end in a typed error, within a second, without memory taken on their word.
import { crc32, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CheckpointError, openCheckpoint } from '../src/index.js';
import { newFile } from './support/files.js';
import { smallCheckpoint } from './support/small-model.js';
import { floatStorage, tensorRecord, writeLegacy, writeZip, zipFiles } from './support/torch-writer.js';

const MAX_MS = 1_000;
const MAX_GROWTH_BYTES = 150 * 2 ** 20;

const pickle = (body: string): Buffer => Buffer.from(`\x80\x02${body}`, 'latin1');
const archive = (data: Uint8Array): Buffer => zipFiles([['archive/data.pkl', data]]);

/** One file, compressed 1,000 to 1, as zip bombs are. */
function zipBomb(): Buffer {
  const packed = deflateRawSync(Buffer.alloc(64 * 2 ** 20));
  const plain = zipFiles([['archive/data.pkl', packed]]);
  for (const [signature, method] of [
    [0x04034b50, 8],
    [0x02014b50, 10],
  ]) {
    for (let at = 0; at + 4 <= plain.length; at++) {
      if (plain.readUInt32LE(at) === signature) plain.writeUInt16LE(8, at + method);
    }
  }
  return plain;
}

/** A directory with many entries that all name the same bytes (Fifield, 2019, "A better zip bomb"). */
function overlappingEntries(): Buffer {
  const data = Buffer.alloc(2 ** 20, 'N');
  const whole = zipFiles([
    ['archive/data.pkl', data],
    ...Array.from({ length: 3000 }, (_, i) => [`archive/data/${i}`, Buffer.alloc(0)] as [string, Uint8Array]),
  ]);
  const directory = whole.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
  for (let at = directory; whole.readUInt32LE(at) === 0x02014b50;) {
    whole.writeUInt32LE(data.length, at + 20);
    whole.writeUInt32LE(data.length, at + 24);
    whole.writeUInt32LE(crc32(data), at + 16);
    whole.writeUInt32LE(0, at + 42);
    at += 46 + whole.readUInt16LE(at + 28) + whole.readUInt16LE(at + 30) + whole.readUInt16LE(at + 32);
  }
  return whole;
}

/** A checkpoint one of whose tensors says that it has another shape, or a storage another size. */
function lyingTensor(shape: number[], strides: number[], format: typeof writeZip): Buffer {
  const small = smallCheckpoint();
  const name = 'decoder.layers.0.fc1.weight';
  small.storages.set('lie', floatStorage([1, 2, 3]));
  small.model.set(name, tensorRecord(small.storages, 'lie', shape, strides));
  return format(small.root, small.storages);
}

function wrongSizes(offset: number, value: bigint): Buffer {
  const small = smallCheckpoint();
  const bytes = writeLegacy(small.root, small.storages);
  const firstStorage =
    bytes.length - [...small.storages.values()].reduce((sum, { bytes: b }) => sum + 8 + b.length, 0);
  bytes.writeBigInt64LE(value, firstStorage + offset);
  return bytes;
}

function directoryField(offset: number, value: number): Buffer {
  const small = smallCheckpoint();
  const bytes = writeZip(small.root, small.storages);
  bytes.writeUInt32LE(value, bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1')) + offset);
  return bytes;
}

const nested = (open: string, close: string, depth: number): string =>
  open.repeat(depth) + close.repeat(depth);

const files: [name: string, bytes: Buffer][] = [
  ['a zip bomb', zipBomb()],
  ['entries that overlap', overlappingEntries()],
  ['a directory of 4 GB', directoryField(12, 0xfffffffe)],
  ['a directory beyond the end', directoryField(16, 0xfffffff0)],
  ['65,535 entries that are not there', directoryField(10, 0xffff)],
  ['lists in lists, a million deep', archive(pickle(`${nested('](', '', 1_000_000)}.`))],
  ['tuples in tuples, a million deep', archive(pickle(`${nested('(', 't', 1_000_000)}.`))],
  ['a list that holds itself', archive(pickle(']q\x00h\x00a.'))],
  ['a dict that holds itself', archive(pickle('}q\x00X\x05\x00\x00\x00modelh\x00s.'))],
  ['doubling by the memo (a billion laughs)', archive(pickle(`]q\x00${'(h\x00h\x00lq\x00'.repeat(60)}.`))],
  ['a string of 4 GB', archive(pickle('X\xff\xff\xff\xffabc.'))],
  ['bytes of 2^63', archive(pickle('\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.'))],
  ['an integer of 2 GB', archive(pickle('\x8b\xff\xff\xff\x7fabc.'))],
  ['a memo entry of 4 billion', archive(pickle('Nr\xff\xff\xff\xff.'))],
  ['a call of a function', archive(pickle('cos\nsystem\n(X\x04\x00\x00\x00exittR.'))],
  ['a pickle without an end', archive(pickle('('.repeat(500_000)))],
  ['a tensor of 2^60 elements', lyingTensor([2 ** 30, 2 ** 30], [2 ** 30, 1], writeZip)],
  ['a tensor larger than its storage', lyingTensor([6, 4], [4, 1], writeZip)],
  ['a tensor before its storage', lyingTensor([6, 4], [-4, 1], writeLegacy)],
  ['a storage of 2^60 elements', wrongSizes(0, 2n ** 60n)],
  ['a storage of -1 elements', wrongSizes(0, -1n)],
  ['nothing but zeros', Buffer.alloc(2 ** 20)],
];

describe('a hostile file', () => {
  it.each(files)('%s', async (_name, bytes) => {
    const path = newFile(bytes, 'hostile.pt');
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const problem = await openCheckpoint(path).then(
      async (checkpoint) => checkpoint.verify().finally(() => checkpoint.close()),
      (error: unknown) => error,
    );
    expect(performance.now() - start).toBeLessThan(MAX_MS);
    expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH_BYTES);
    expect(problem).toBeInstanceOf(CheckpointError);
  });
});
