import type { BreakMode, LmBatch, LmBatchPlan } from '@knn-lm/binarizer';
import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { releaseFreeMemory, type DatastoreWriter } from '@knn-lm/datastore';
import type { LanguageModel, LanguageModelInfo } from '@knn-lm/lm-runtime';
import { KnnError } from './errors.js';
import { scoredPositions } from './positions.js';
import { rowGroups } from './row-groups.js';

/** Which blocks of a text go into a datastore, in which order, and how many entries they have. */
export interface DatastorePlan {
  /** The batches of the text. */
  readonly batches: LmBatchPlan;
  /** How the text is cut into blocks. */
  readonly breakMode: BreakMode;
  /** Context tokens that a block must have before it. */
  readonly contextWindow: number;
  /** Block and context together, in tokens. */
  readonly tokensPerSample: number;
}

/** What a finished generation did. */
export interface GenerateResult {
  /** Entries written by this run. */
  readonly rowsWritten: number;
  /** Entries that were there before it, from an interrupted run. */
  readonly rowsResumed: number;
}

/**
 * Whether a block has all the context it can have. The first blocks of a text lack some, and are left out, as in the
 * Python system; a block longer than the window allows has its context cut to the model's input, and stays.
 *
 * @param batch - the batch
 * @param row - the block's row in it
 * @param plan - context window and input length
 */
export function contextIsComplete(batch: LmBatch, row: number, plan: DatastorePlan): boolean {
  const blockLength = batch.lengths[row] - batch.starts[row];
  return batch.starts[row] >= Math.min(plan.contextWindow, plan.tokensPerSample - blockLength);
}

/** Two arrays for the keys of batches, in turns. */
class KeyBuffers {
  readonly #shape: Pick<LanguageModelInfo, 'keyDimension' | 'keysDtype'>;
  #other: Uint16Array | Float32Array;
  #current: Uint16Array | Float32Array;

  constructor(shape: Pick<LanguageModelInfo, 'keyDimension' | 'keysDtype'>) {
    this.#shape = shape;
    this.#other = this.#array(0);
    this.#current = this.#other;
  }

  /** An array for the keys of a batch. That of the batch before stays as it is, that of the one before it does not. */
  next(count: number): Uint16Array | Float32Array {
    const length = count * this.#shape.keyDimension;
    const next = this.#other.length >= length ? this.#other : this.#array(length);
    this.#other = this.#current;
    this.#current = next;
    return next;
  }

  #array(length: number): Uint16Array | Float32Array {
    return this.#shape.keysDtype === 'fp16' ? new Uint16Array(length) : new Float32Array(length);
  }
}

/** The positions of one batch that become entries, in this order. */
interface EntrySource {
  readonly batch: LmBatch;
  readonly positions: Int32Array;
}

/**
 * The entries of a text in the datastore's order: that of the batches, but with the short last block of a text cut into
 * equal blocks (`none`) at the end. Without a context window fairseq evaluates that block first; the Python system leaves
 * it out unless batches fall well, so that cutting the datastore to the Python system's size gives the same entries.
 */
function* entrySources(plan: DatastorePlan, padIndex: number, cells?: number): Generator<EntrySource> {
  const deferred: EntrySource[] = [];
  for (const batch of groupsOf(plan.batches, cells)) {
    const complete = (row: number) => contextIsComplete(batch, row, plan);
    const short = (row: number) =>
      plan.breakMode === 'none' && batch.lengths[row] - batch.starts[row] < plan.batches.blockSize;
    yield {
      batch,
      positions: scoredPositions(batch, padIndex, (row) => complete(row) && !short(row)).positions,
    };
    const last = scoredPositions(batch, padIndex, (row) => complete(row) && short(row)).positions;
    if (last.length > 0) deferred.push({ batch, positions: last });
  }
  yield* deferred;
}

function* groupsOf(batches: Iterable<LmBatch>, cells?: number): Generator<LmBatch> {
  for (const batch of batches) yield* rowGroups(batch, cells);
}

/** Cells of a group for the model: enough to share among its threads, few enough that their keys take little memory. */
function cellsForThreads(threads: number): number {
  return Math.max(2048, 512 * threads);
}

/**
 * Counts the entries that a text gives, reading the token ids only.
 *
 * @param plan - the text's batches and its context rule
 * @param padIndex - id of the padding symbol
 */
export function countDatastoreRows(plan: DatastorePlan, padIndex: number): number {
  let rows = 0;
  for (const { positions } of entrySources(plan, padIndex)) rows += positions.length;
  return rows;
}

/**
 * Fills a datastore: for every token of the text the hidden state that predicts it (the key) and the token (the value).
 *
 * Entries already committed by an interrupted run are skipped without running the model. The writer's `rows` may be less
 * than the text gives: the rest is cut, as in the Python system.
 *
 * @param model - opened for `keys` in the datastore's dtype
 * @param plan - the text's batches and its context rule
 * @param writer - an open writer; the caller finishes and closes it
 * @param task - how to watch and stop the work; what was appended before a stop is committed
 * @throws {@link KnnError} `DATASTORE_SIZE` when the text gives fewer entries than planned
 */
export async function generateDatastore(
  model: LanguageModel,
  plan: DatastorePlan,
  writer: DatastoreWriter,
  task: TaskOptions = {},
): Promise<GenerateResult> {
  const rowsResumed = writer.committedRows;
  let row = 0;
  let isFirst = true;
  // The model computes the next batch while this one is written: each has an array of its own.
  let written: Promise<void> = Promise.resolve();
  const buffers = new KeyBuffers(model.info);
  try {
    for (const { batch, positions: all } of entrySources(
      plan,
      model.info.padIndex,
      cellsForThreads(model.info.threads),
    )) {
      throwIfAborted(task.signal, 'the datastore is not finished');
      const begin = Math.max(0, rowsResumed - row);
      const end = Math.min(all.length, writer.rows - row);
      row += all.length;
      if (begin >= end) {
        if (row >= writer.rows) break;
        continue;
      }
      const positions = all.slice(begin, end);
      const { rows, width, tokens, targets } = batch;
      const { keys } = await model.run(
        { rows, width, tokens, targets, positions },
        buffers.next(positions.length),
      );
      if (isFirst) releaseFreeMemory();
      isFirst = false;
      const values = Int32Array.from(positions, (at) => targets[at]);
      await written;
      written = writer.append(keys, values);
      written.catch(() => undefined); // Seen at the next await.
      task.onProgress?.({
        stage: 'keys',
        done: Math.min(row, writer.rows),
        total: writer.rows,
        unit: 'tokens',
      });
    }
    await written;
  } finally {
    await written.catch(() => undefined);
    await writer.commit();
  }
  if (row < writer.rows) {
    throw new KnnError(
      'DATASTORE_SIZE',
      `the text gives ${row} entries, but the datastore is to have ${writer.rows}`,
      {
        hint: `Give --datastore-size ${row}, or leave the flag out.`,
        details: { found: row, expected: writer.rows },
      },
    );
  }
  return { rowsWritten: writer.rows - rowsResumed, rowsResumed };
}
