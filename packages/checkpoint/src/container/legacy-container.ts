import type { RandomAccessFile } from '@knn-lm/common';
import { CheckpointError } from '../errors.js';
import { describeValue } from '../pickle/literals.js';
import { unpickle } from '../pickle/unpickle.js';
import { PyObject, PyReference, type PyValue } from '../pickle/values.js';
import type { StorageExtent, TorchContainer } from './container.js';
import { elementBytes } from './element-types.js';
import { storageReference } from './storage-reference.js';
import { bigEndian } from './zip-container.js';

/** The first pickle of the file (torch/serialization.py, `MAGIC_NUMBER`). */
export const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;
const COUNT_BYTES = 8;

/**
 * Opens a file of torch before 1.6: five pickles (magic number, protocol, facts about the machine, the object, the keys
 * of its storages), then each storage as a 64-bit element count and its elements (torch/serialization.py,
 * `_legacy_save`).
 *
 * @param file - the open file
 * @throws {@link CheckpointError}
 */
export function openLegacy(file: RandomAccessFile): TorchContainer {
  const magic = unpickle(file, 0);
  if (magic.value !== LEGACY_MAGIC) throw notTorch(file, 'magic number', magic.value, LEGACY_MAGIC);
  const protocol = unpickle(file, magic.end);
  if (protocol.value !== LEGACY_PROTOCOL) throw notTorch(file, 'protocol', protocol.value, LEGACY_PROTOCOL);
  const machine = unpickle(file, protocol.end);
  if (machine.value instanceof Map && machine.value.get('little_endian') === false) {
    throw bigEndian(file.path, 'big');
  }
  const root = unpickle(file, machine.end);
  const keys = unpickle(file, root.end);
  if (!Array.isArray(keys.value)) throw notTorch(file, 'list of storages', keys.value, 'a list');
  const sizes = storageSizes(file, root.value);
  return {
    format: 'legacy',
    file,
    root: root.value,
    storages: locateStorages(file, keys.value, keys.end, sizes),
  };
}

function notTorch(
  file: RandomAccessFile,
  what: string,
  found: PyValue,
  expected: bigint | number | string,
): CheckpointError {
  return new CheckpointError(
    'CHECKPOINT_NOT_TORCH',
    `${file.path}: a pickle, but not one that torch.save wrote: its ${what} is ${describeValue(found)}, not ${expected}`,
    {
      hint: 'Give the model.pt (or checkpoint_best.pt) that fairseq-train wrote.',
      details: { path: file.path },
    },
  );
}

/** Bytes of an element and number of elements of every storage that the object refers to. */
function storageSizes(
  file: RandomAccessFile,
  root: PyValue,
): Map<string, [itemBytes: number, count: number]> {
  const sizes = new Map<string, [number, number]>();
  for (const reference of references(root)) {
    const storage = storageReference(file.path, reference);
    if (storage.type !== undefined) {
      sizes.set(storage.key, [elementBytes[storage.type], storage.elementCount]);
    }
  }
  return sizes;
}

/** Every reference in a value, however deep; each part is visited once. */
function* references(root: PyValue): Generator<PyReference> {
  const seen = new Set<PyValue>([root]);
  // A Set is walked in the order of insertion, what is added on the way included: no recursion, whatever the depth.
  for (const value of seen) {
    if (value instanceof PyReference) yield value;
    for (const part of partsOf(value)) {
      if (typeof part === 'object' && part !== null) seen.add(part);
    }
  }
}

function* partsOf(value: PyValue): Generator<PyValue> {
  if (Array.isArray(value) || value instanceof Set) yield* value;
  else if (value instanceof Map) yield* value.values();
  else if (value instanceof PyObject) {
    yield value.callee;
    yield* value.args;
    yield* value.elements;
    yield* value.entries.values();
    if (value.state !== undefined) yield value.state;
  }
}

/** Walks over the storages, in the order of their keys, and checks that each is whole. */
function locateStorages(
  file: RandomAccessFile,
  keys: readonly PyValue[],
  start: number,
  sizes: ReadonlyMap<string, [itemBytes: number, count: number]>,
): Map<string, StorageExtent> {
  const storages = new Map<string, StorageExtent>();
  let at = start;
  for (const [i, key] of keys.entries()) {
    const size = typeof key === 'string' ? sizes.get(key) : undefined;
    const details = { path: file.path, byteOffset: at, storage: i };
    if (typeof key !== 'string' || size === undefined) {
      throw new CheckpointError(
        'CHECKPOINT_STORAGE',
        `${file.path}: storage ${i} (${describeValue(key)}) is used by no tensor, or has an element type that is not known`,
        { hint: 'The file is damaged; copy or download it again.', details },
      );
    }
    const [itemBytes, count] = size;
    const byteLength = count * itemBytes;
    if (at + COUNT_BYTES + byteLength > file.size) {
      throw new CheckpointError(
        'CHECKPOINT_TRUNCATED',
        `${file.path}: storage ${i} of ${keys.length} needs bytes ${at} to ${at + COUNT_BYTES + byteLength}, but the file has ${file.size}`,
        { hint: 'The file is cut short; copy or download it again.', details },
      );
    }
    const found = new DataView(file.readBytes(at, COUNT_BYTES).buffer).getBigInt64(0, true);
    if (found !== BigInt(count)) {
      throw new CheckpointError(
        'CHECKPOINT_STORAGE',
        `${file.path}: storage ${i} at byte ${at} has ${found} elements, but ${count} are expected`,
        { hint: 'The file is damaged; copy or download it again.', details },
      );
    }
    storages.set(key, { byteOffset: at + COUNT_BYTES, byteLength, crc32: undefined });
    at += COUNT_BYTES + byteLength;
  }
  return storages;
}
