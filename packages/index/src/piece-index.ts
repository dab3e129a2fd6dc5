import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describeFileError, writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import type { EngineIndex } from './engine.js';
import { digestFile, isDigest, type FileDigest } from './file-digest.js';
import type { GrowingIndex } from './growing-index.js';
import type { IndexDestination } from './index-destination.js';
import { removeLeftovers } from './index-files.js';
import { matchesDigest, readJson } from './index-record.js';
import { joinIndexes } from './join-indexes.js';

const VERSION = 1;

/** What a piece is and what it holds. */
interface Piece extends FileDigest {
  readonly file: string;
  readonly firstRow: number;
  readonly endRow: number;
}

/** How {@link PieceIndex} works. */
export interface PieceOptions extends TaskOptions {
  /** Bytes of entries that are held in memory. */
  readonly pieceBytes: number;
  /** Whether the finished index has its lists in a file of their own. */
  readonly onDiskLists: boolean;
  /** Does not look for what an interrupted build has left. */
  readonly fresh: boolean;
  /** Threads. */
  readonly threads?: number | undefined;
}

/**
 * An index that is built in pieces: what was added is written as a file of its own whenever memory is full, an interval is
 * over or the build is stopped, and memory begins again empty. In the end the pieces are joined. The result does not
 * depend on how it was divided, and what was saved is never written again.
 */
export class PieceIndex implements GrowingIndex {
  readonly index: EngineIndex;
  readonly resumedRows: number;
  readonly #destination: IndexDestination;
  readonly #options: PieceOptions;
  readonly #notes: string;
  readonly #pieces: Piece[];
  readonly #emptyBytes: number;

  private constructor(
    trained: EngineIndex,
    destination: IndexDestination,
    pieces: Piece[],
    options: PieceOptions,
  ) {
    this.index = trained;
    this.#destination = destination;
    this.#pieces = pieces;
    this.#options = options;
    this.#notes = notesOf(destination.path);
    this.#emptyBytes = trained.memoryBytes ?? 0;
    this.resumedRows = this.savedRows - (destination.about.firstRow ?? 0);
  }

  /**
   * Goes on after the pieces that an interrupted build has left, as far as they belong to this one and are undamaged.
   *
   * @param trained - the trained, empty index
   * @param destination - what the pieces are to become
   */
  static async open(
    trained: EngineIndex,
    destination: IndexDestination,
    options: PieceOptions,
  ): Promise<PieceIndex> {
    await removeLeftovers(destination.path);
    const pieces = options.fresh ? [] : await readPieces(destination, options);
    await removePieces(destination.path, pieces);
    const opened = new PieceIndex(trained, destination, pieces, options);
    if (pieces.length > 0) {
      options.logger?.info(`Going on after ${opened.resumedRows} keys that an interrupted build has added`);
    }
    return opened;
  }

  get savedRows(): number {
    return this.#pieces.at(-1)?.endRow ?? this.#destination.about.firstRow ?? 0;
  }

  get nextRow(): number {
    return this.savedRows + this.index.size;
  }

  get isFull(): boolean {
    return (this.index.memoryBytes ?? 0) - this.#emptyBytes >= this.#options.pieceBytes;
  }

  async save(): Promise<void> {
    const [firstRow, endRow] = [this.savedRows, this.nextRow];
    const path = `${this.#destination.path}.piece-${firstRow}`;
    await this.index.write(path, {});
    const piece = { file: basename(path), firstRow, endRow, ...(await digestFile(path)) };
    await this.#write([...this.#pieces, piece]);
    await this.index.reset();
    this.#pieces.push(piece);
  }

  async finish(): Promise<void> {
    if (this.index.size > 0) await this.save();
    const folder = dirname(this.#destination.path);
    const parts = this.#pieces.map(({ file, firstRow }) => ({ path: join(folder, file), firstId: firstRow }));
    await joinIndexes(parts, this.#destination, this.#options);
    await removePieces(this.#destination.path, []);
  }

  async #write(pieces: readonly Piece[]): Promise<void> {
    const { fingerprint } = this.#destination;
    try {
      await writeFileAtomic(
        this.#notes,
        `${JSON.stringify({ version: VERSION, target: fingerprint, pieces })}\n`,
      );
    } catch (cause) {
      throw describeFileError(cause, this.#notes, 'write the state of the index');
    }
  }
}

function notesOf(path: string): string {
  return `${path}.pieces.json`;
}

/** The pieces that are there, up to the first that is missing or damaged. */
async function readPieces(destination: IndexDestination, task: TaskOptions): Promise<Piece[]> {
  const notesPath = notesOf(destination.path);
  if (!existsSync(notesPath)) return [];
  const notes = readJson(notesPath);
  if (notes?.['version'] !== VERSION || notes['target'] !== destination.fingerprint) {
    task.logger?.warn(
      'The unfinished index that is there is not used: it belongs to another datastore, training or kind of index',
    );
    return [];
  }
  const folder = dirname(destination.path);
  const pieces: Piece[] = [];
  for (const piece of Array.isArray(notes['pieces']) ? (notes['pieces'] as unknown[]) : []) {
    const follows =
      isPiece(piece) && piece.firstRow === (pieces.at(-1)?.endRow ?? destination.about.firstRow ?? 0);
    if (!follows || !existsSync(join(folder, piece.file))) break;
    if (!(await matchesDigest(join(folder, piece.file), piece, task))) {
      task.logger?.warn(
        `The piece ${piece.file} of the unfinished index is damaged; its keys are added again`,
      );
      break;
    }
    pieces.push(piece);
  }
  return pieces;
}

function isPiece(value: unknown): value is Piece {
  if (!isDigest(value)) return false;
  const { file, firstRow, endRow } = value as unknown as Record<string, unknown>;
  return (
    typeof file === 'string' &&
    basename(file) === file &&
    Number.isSafeInteger(firstRow) &&
    Number.isSafeInteger(endRow) &&
    (endRow as number) > (firstRow as number)
  );
}

/** Removes pieces but those to keep, and their notes when there are none. */
async function removePieces(path: string, keep: readonly Piece[]): Promise<void> {
  const [folder, prefix] = [dirname(path), `${basename(path)}.piece-`];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix) || keep.some((piece) => piece.file === name)) continue;
    await rm(join(folder, name), { force: true });
  }
  if (keep.length === 0) await rm(notesOf(path), { force: true });
}
