import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describeFileError, writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import type { EngineIndex, IndexEngine } from './engine.js';
import { digestFile, type FileDigest } from './file-digest.js';
import { matchesDigest, readJson, writeIndexRecord } from './index-record.js';

/** Name of the unfinished index in its folder. */
export const PARTIAL_INDEX_FILE = 'faiss.index.partial';
const VERSION = 1;

/** What an unfinished index is to become; with any of it different, it is of no use. */
export interface PartialTarget {
  /** What `--index-type` is. */
  readonly type: string;
  /** Checksum of the trained index; `undefined` where nothing is trained. */
  readonly trainedSha256: string | undefined;
  /** What identifies the datastore. */
  readonly datastore: string;
  /** Rows of the datastore. */
  readonly rows: number;
  /** Dimensions of a key. */
  readonly dimension: number;
}

/**
 * The index while keys are added: saved from time to time as `faiss.index.partial`, an ordinary Faiss file, so that an
 * interrupted build goes on from there. A file beside it says what it belongs to, with checksums.
 */
export class PartialIndex {
  readonly #path: string;
  readonly #notes: string;
  readonly #target: PartialTarget;
  /** What the file may be: the state last saved, and while another is being saved that one. */
  #known: readonly FileDigest[] = [];

  /**
   * @param folder - folder of the index
   * @param target - what it is to become
   */
  constructor(folder: string, target: PartialTarget) {
    this.#path = join(folder, PARTIAL_INDEX_FILE);
    this.#notes = `${this.#path}.json`;
    this.#target = target;
  }

  /**
   * Reads what an interrupted build has left, if it belongs to this build and is undamaged.
   *
   * @returns the index with the keys added so far; or why it is of no use; or nothing, where none is
   */
  async read(engine: IndexEngine, task: TaskOptions): Promise<EngineIndex | string | undefined> {
    await this.#removeLeftovers();
    if (!existsSync(this.#path)) return undefined;
    const notes = readJson(this.#notes);
    if (notes?.['version'] !== VERSION || !Array.isArray(notes['files'])) return 'nothing says what it is';
    if (notes['target'] !== fingerprint(this.#target)) {
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

  /** Saves what is in the index, in place of what was saved before; killed at any moment, one of the two remains. */
  async save(index: EngineIndex): Promise<void> {
    const next = `${this.#path}.next`;
    await index.write(next, {});
    const digest = await digestFile(next);
    await this.#write([...this.#known, digest]);
    await this.#rename(next, this.#path);
    this.#known = [digest];
  }

  /**
   * Saves the complete index under its final name, with its record.
   *
   * @param path - final name
   */
  async finish(index: EngineIndex, path: string): Promise<void> {
    await this.save(index);
    const { type, dimension, rows } = this.#target;
    // The record first: an index of a kind that cannot be checked is not trusted without.
    await writeIndexRecord(path, { type, dimension, rows, ...this.#known[0] });
    await this.#rename(this.#path, path);
    await this.remove();
  }

  /** Removes what was saved. */
  async remove(): Promise<void> {
    for (const path of [this.#path, `${this.#path}.next`, this.#notes]) await rm(path, { force: true });
    this.#known = [];
  }

  async #write(files: readonly FileDigest[]): Promise<void> {
    const text = JSON.stringify({ version: VERSION, target: fingerprint(this.#target), files }, undefined, 2);
    try {
      await writeFileAtomic(this.#notes, `${text}\n`);
    } catch (cause) {
      throw describeFileError(cause, this.#notes, 'write the state of the index');
    }
  }

  async #rename(from: string, to: string): Promise<void> {
    try {
      await rename(from, to);
    } catch (cause) {
      throw describeFileError(cause, to, 'write the index');
    }
  }

  /** Temporary files of processes that were killed while they saved: as large as the index. */
  async #removeLeftovers(): Promise<void> {
    const folder = dirname(this.#path);
    const pattern = new RegExp(
      `^\\.${basename(this.#path).replaceAll('.', '\\.')}\\.next\\.(\\d+)\\.\\w+\\.tmp$`,
    );
    for (const name of await readdir(folder)) {
      const owner = pattern.exec(name)?.[1];
      if (owner !== undefined && !isRunning(Number(owner))) await rm(join(folder, name), { force: true });
    }
  }
}

function isDigest(value: unknown): value is FileDigest {
  if (typeof value !== 'object' || value === null) return false;
  const { bytes, sha256 } = value as Record<string, unknown>;
  return typeof bytes === 'number' && typeof sha256 === 'string';
}

function fingerprint(target: PartialTarget): string {
  const { type, trainedSha256, datastore, rows, dimension } = target;
  return createHash('sha256')
    .update(JSON.stringify([type, trainedSha256 ?? '', datastore, rows, dimension]))
    .digest('hex');
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
