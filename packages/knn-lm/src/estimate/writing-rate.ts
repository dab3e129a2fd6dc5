import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { DatastoreWriter, type DatastoreShape } from '@knn-lm/datastore';

/** Bytes of keys that are written. */
const probeBytes = 64 * 2 ** 20;
/** Rows appended at a time. */
const rowsAtATime = 1024;

/**
 * Measures how long writing a datastore takes: checksums, the disk and all, with a small one that is removed.
 *
 * @param folder - where the datastore will be
 * @param shape - dimension and precision of its keys
 * @param task - signal
 * @returns seconds an entry
 */
export async function measureWritingRate(
  folder: string,
  { dimension, dtype }: Pick<DatastoreShape, 'dimension' | 'dtype'>,
  { signal }: TaskOptions = {},
): Promise<number> {
  const elementBytes = dtype === 'fp16' ? 2 : 4;
  const batches = Math.max(1, Math.ceil(probeBytes / (dimension * elementBytes * rowsAtATime)));
  const rows = batches * rowsAtATime;
  const elements = rowsAtATime * dimension;
  const keys = dtype === 'fp16' ? new Uint16Array(elements).fill(0x3c00) : new Float32Array(elements).fill(1);
  const values = new Int32Array(rowsAtATime);
  const probe = await mkdtemp(join(folder, 'knn-lm-probe-'));
  try {
    const startMs = performance.now();
    const writer = await DatastoreWriter.create(join(probe, 'store'), {
      rows,
      dimension,
      dtype,
      identity: {},
      signal,
    });
    try {
      for (let i = 0; i < batches; i++) {
        throwIfAborted(signal, 'measuring stopped');
        await writer.append(keys, values);
      }
      await writer.finish();
    } finally {
      await writer.close();
    }
    return (performance.now() - startMs) / 1000 / rows;
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
}
