import type { RandomAccessFile } from '@knn-lm/common';
import type { PyValue } from '../pickle/values.js';

/** Where the bytes of a storage lie in the file. */
export interface StorageExtent {
  /** First byte. */
  readonly byteOffset: number;
  /** Number of bytes. */
  readonly byteLength: number;
  /** CRC-32 of the bytes, where the format has one. */
  readonly crc32: number | undefined;
}

/** A file that `torch.save` wrote: one pickled object, and the storages that it refers to. */
export interface TorchContainer {
  /** `zip` since torch 1.6, `legacy` before. */
  readonly format: 'zip' | 'legacy';
  /** The open file. */
  readonly file: RandomAccessFile;
  /** What was saved; tensors are records that refer to storages. */
  readonly root: PyValue;
  /** The storages by key. */
  readonly storages: ReadonlyMap<string, StorageExtent>;
}
