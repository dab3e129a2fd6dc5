import { statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { dirname, resolve } from 'node:path';

/** Free space of a file system, and memory of the machine, in bytes. */
export interface Resources {
  /** The folder, or the nearest one above it that is there. */
  readonly folder: string;
  /** Bytes that the file system has left for this user. */
  readonly diskFree: number;
  /** Memory that can be used now, without swapping and within the limit of the container. */
  readonly memoryAvailable: number;
  /** Memory of the machine, or the limit of the container. */
  readonly memoryTotal: number;
}

/**
 * What there is on this machine for a run that puts its files into a folder.
 *
 * @param folder - need not be there yet
 */
export async function measureResources(folder: string): Promise<Resources> {
  const existing = await nearestExisting(resolve(folder));
  const { bavail, bsize } = await statfs(existing);
  const limit = process.constrainedMemory();
  const total = totalmem();
  return {
    folder: existing,
    diskFree: bavail * bsize,
    memoryAvailable: process.availableMemory(),
    // Without a limit the constrained memory is 0 or a huge number.
    memoryTotal: limit > 0 && limit < total ? limit : total,
  };
}

async function nearestExisting(folder: string): Promise<string> {
  try {
    await statfs(folder);
    return folder;
  } catch (error) {
    const parent = dirname(folder);
    if (parent === folder) throw error;
    return nearestExisting(parent);
  }
}
