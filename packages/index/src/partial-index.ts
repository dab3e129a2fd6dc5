import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { describeFileError, writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import type { EngineIndex, IndexEngine } from './engine.js';
import { digestFile, isDigest, type FileDigest } from './file-digest.js';
import type { GrowingIndex } from './growing-index.js';
import type { IndexDestination } from './index-destination.js';
import { INDEX_FILE, removeLeftovers } from './index-files.js';
import { matchesDigest, readJson } from './index-record.js';

/** Name of the unfinished index in its folder. */
export const PARTIAL_INDEX_FILE = `${INDEX_FILE}.partial`;
const VERSION = 2;

/**
 * An index in memory that keys are added to: saved from time to time as `faiss.index.partial`, an ordinary Faiss file, so
 * that an interrupted build goes on from there. A file beside it says what it belongs to, with checksums.
 */
export class PartialIndex implements GrowingIndex {
  readonly isFull = false;
  readonly resumedRows: number;
  readonly index: EngineIndex;
  readonly #files: PartialFiles;
  readonly #firstRow: number;
  #savedRows: number;

  private constructor(index: EngineIndex, files: PartialFiles, resumedRows: number) {
    this.index = index;
    this.#files = files;
    this.#firstRow = files.destination.about.firstRow ?? 0;
    this.resumedRows = resumedRows;
    this.#savedRows = index.size;
  }

  /**
   * Goes on with what an interrupted build has left, if it belongs to this one and is undamaged; or begins.
   *
   * @param trained - what a build begins with; closed where it is not needed
   * @param destination - what the index is to become
   * @param fresh - does not look for what is there
   */
  static async open(
    trained: EngineIndex,
    destination: IndexDestination,
    engine: IndexEngine,
    task: TaskOptions & { readonly nprobe: number; readonly fresh: boolean },
  ): Promise<PartialIndex> {
    const files = new PartialFiles(destination);
    try {
      const found = task.fresh ? undefined : await files.read(engine, task);
      if (typeof found === 'object') {
        trained.close();
        found.nprobe = task.nprobe;
        task.logger?.info(`Going on with the index of an interrupted build, which holds ${found.size} keys`);
        return new PartialIndex(found, files, found.size);
      }
      if (found !== undefined) task.logger?.warn(`The unfinished index that is there is not used: ${found}`);
      await files.remove();
      return new PartialIndex(trained, files, 0);
    } catch (error) {
      trained.close();
      throw error;
    }
  }

  get nextRow(): number {
    return this.#firstRow + this.index.size;
  }

  get savedRows(): number {
    return this.#firstRow + this.#savedRows;
  }

  async save(): Promise<void> {
    await this.#files.save(this.index);
    this.#savedRows = this.index.size;
  }

  async finish(): Promise<void> {
    await this.save();
    await this.#files.moveIn();
  }
}

/** The two files of an unfinished index. */
class PartialFiles {
  readonly destination: IndexDestination;
  readonly #path: string;
  readonly #notes: string;
  /** What the file may be: the state last saved, and while another is being saved that one. */
  #known: readonly FileDigest[] = [];

  constructor(destination: IndexDestination) {
    this.destination = destination;
    this.#path = `${destination.path}.partial`;
    this.#notes = `${this.#path}.json`;
  }

  /** The index with the keys added so far; or why it is of no use; or nothing, where none is. */
  async read(engine: IndexEngine, task: TaskOptions): Promise<EngineIndex | string | undefined> {
    await removeLeftovers(this.destination.path);
    if (!existsSync(this.#path)) return undefined;
    const notes = readJson(this.#notes);
    if (notes?.['version'] !== VERSION || !Array.isArray(notes['files'])) return 'nothing says what it is';
    if (notes['target'] !== this.destination.fingerprint) {
      return 'it belongs to another datastore, training or kind of index';
    }
    for (const digest of (notes['files'] as unknown[]).filter(isDigest)) {
      if (!(await matchesDigest(this.#path, digest, task))) continue;
      this.#known = [digest];
      // Written by this program and unchanged since: kinds that cannot be checked are safe, too.
      return engine.read(this.#path, { trusted: true });
    }
    return 'it is damaged';
  }

  /** Saves an index in place of what was saved before; killed at any moment, one of the two remains. */
  async save(index: EngineIndex): Promise<void> {
    const next = `${this.#path}.next`;
    await index.write(next, {});
    const digest = await digestFile(next);
    await this.#write([...this.#known, digest]);
    try {
      await rename(next, this.#path);
    } catch (cause) {
      throw describeFileError(cause, this.#path, 'write the index');
    }
    this.#known = [digest];
  }

  async moveIn(): Promise<void> {
    await this.destination.moveIn(this.#path, this.#known[0]);
    await this.remove();
  }

  async remove(): Promise<void> {
    for (const path of [this.#path, `${this.#path}.next`, this.#notes]) await rm(path, { force: true });
    this.#known = [];
  }

  async #write(files: readonly FileDigest[]): Promise<void> {
    const { fingerprint } = this.destination;
    const text = JSON.stringify({ version: VERSION, target: fingerprint, files }, undefined, 2);
    try {
      await writeFileAtomic(this.#notes, `${text}\n`);
    } catch (cause) {
      throw describeFileError(cause, this.#notes, 'write the state of the index');
    }
  }
}
