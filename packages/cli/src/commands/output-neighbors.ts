import { KnnLmError, type Logger } from '@knn-lm/common';
import { TokenRecorder, writeJsonLines, type BatchListener } from '@knn-lm/knn-lm';
import { countOf, parseTokenRange } from '../options/token-range.js';
import { openDatastoreText } from './datastore-text.js';
import type { NeighborSetup } from './eval.js';
import type { LmTask, Values } from './lm-task.js';
import { recordResult } from './record-result.js';

/** What `--output-neighbors` wrote, for programs. */
export interface NeighborsWritten {
  /** The file. */
  readonly path: string;
  /** Lines of it. */
  readonly tokens: number;
  /** Whether the neighbours have their own contexts. */
  readonly datastore_text: boolean;
}

/** What {@link writeNeighbors} works with. */
export interface NeighborOutput {
  /** Option values. */
  readonly values: Values;
  /** Model and text. */
  readonly task: LmTask;
  /** Datastore, index and settings. */
  readonly neighbors: NeighborSetup | undefined;
  /** Receives lines. */
  readonly logger: Logger;
}

/**
 * Evaluates, and writes the records of the tokens to the file of `--output-neighbors` meanwhile, if it was given. The file
 * gets its name at the end. Memory does not grow with the text.
 *
 * @param output - where and what
 * @param evaluation - evaluates, and shows every batch to the listener
 * @throws `OUTPUT_NEIGHBORS` when nothing is searched
 */
export async function writeNeighbors(
  output: NeighborOutput,
  evaluation: (listener: BatchListener | undefined) => Promise<unknown>,
): Promise<NeighborsWritten | undefined> {
  const { values, task, neighbors, logger } = output;
  const path = (values['output_neighbors'] ?? null) as string | null;
  if (path === null) {
    await evaluation(undefined);
    return undefined;
  }
  if (neighbors === undefined) {
    throw new KnnLmError('OUTPUT_NEIGHBORS', '--output-neighbors needs neighbours', {
      hint: 'Add --score-knn-lm, or --settings.',
    });
  }
  refuseShortened(values, '--output-neighbors');
  const range = parseTokenRange(
    (values['output_neighbors_range'] ?? ':') as string,
    '--output-neighbors-range',
  );
  const origin = await openDatastoreText(values, task, neighbors.datastore, logger);
  try {
    const recorder = new TokenRecorder({
      dictionary: task.dictionary,
      dataset: task.dataset,
      mixing: neighbors.mixing,
      datastoreText: origin.texts,
      neighbors: countOf(values['output_neighbors_k'] as number, '--output-neighbors-k'),
      contextTokens: countOf(values['output_neighbors_context'] as number, '--output-neighbors-context'),
    });
    const tokens = await writeJsonLines(path, async (writer) => {
      await evaluation(async (batch, logProbs, knnProbs) => {
        for (const [i, position] of batch.textPositions.entries()) {
          if (position < range.start || position >= range.end) continue;
          await writer.write(recordResult(recorder.record(batch, { logProbs, knnProbs }, i)));
        }
      });
      return writer.lines;
    });
    logger.info(`${tokens.toLocaleString('en-US')} tokens with their neighbours are in ${path}`);
    return { path, tokens, datastore_text: origin.texts.length > 0 };
  } finally {
    origin.close();
  }
}

/** A text that is shortened on the way has no places in the text on disk. */
export function refuseShortened(values: Values, flag: string): void {
  if (values['shorten_method'] === 'none') return;
  throw new KnnLmError(
    'OUTPUT_NEIGHBORS',
    `${flag} cannot say where a token is when --shorten-method is given`,
    {
      hint: 'Leave --shorten-method out.',
    },
  );
}
