import { createHash } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { describeFileError } from '@knn-lm/common';
import type { FileDigest } from './file-digest.js';
import { removeRemains } from './index-files.js';
import { readIndexRecord, writeIndexRecord, type IndexRecord } from './index-record.js';

/** What an index file that is being built is to become: its name and its record. */
export class IndexDestination {
  /** Final name. */
  readonly path: string;
  /** What its record will say, but for its checksum. */
  readonly about: Omit<IndexRecord, 'bytes' | 'sha256' | 'lists'>;

  /**
   * @param path - final name
   * @param about - what its record will say
   */
  constructor(path: string, about: IndexDestination['about']) {
    this.path = path;
    this.about = about;
  }

  /** Two builds with the same one go on from each other's state. */
  get fingerprint(): string {
    const { type, trainedSha256, datastore, firstRow, rows, dimension } = this.about;
    return createHash('sha256')
      .update(JSON.stringify([type, trainedSha256 ?? '', datastore, firstRow ?? 0, rows, dimension]))
      .digest('hex');
  }

  /**
   * Gives the complete file its final name; the one that had it is in use until then. What the build needed on the way is
   * removed.
   *
   * @param file - the complete file, in the same folder
   * @param digest - its checksum
   * @param lists - the file of its lists, which has its final name already
   */
  async moveIn(file: string, digest: FileDigest, lists?: IndexRecord['lists']): Promise<void> {
    const record = { ...this.about, ...digest, lists };
    // The record first: an index of a kind that cannot be checked is not trusted without.
    await writeIndexRecord(this.path, record, readIndexRecord(this.path));
    try {
      await rename(file, this.path);
    } catch (cause) {
      throw describeFileError(cause, this.path, 'write the index');
    }
    await writeIndexRecord(this.path, record);
    await removeRemains(this.path, lists?.file);
  }
}
