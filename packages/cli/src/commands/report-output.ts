import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describeFileError, KnnLmError, writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import { measureIndex } from '@knn-lm/index';
import type { BatchListener, DatastoreText } from '@knn-lm/knn-lm';
import type { ContextOf, IndexFacts, ReportCollector } from '@knn-lm/report';
import { countOf } from '../options/token-range.js';
import { openDatastoreText } from './datastore-text.js';
import type { NeighborSetup } from './eval.js';
import type { LmTask, Values } from './lm-task.js';
import { refuseShortened } from './output-neighbors.js';
import { runFacts } from './report-facts.js';

/** What `--report` wrote, for programs. */
export interface ReportWritten {
  /** The file. */
  readonly path: string;
  /** Its size. */
  readonly bytes: number;
  /** Whether the neighbours have their own contexts. */
  readonly datastore_text: boolean;
}

/** A report that is being gathered. */
export interface ReportOutput {
  /** Sees every batch. */
  readonly add: BatchListener;
  /**
   * Measures the index and writes the page.
   *
   * @param seconds - how long the evaluation took
   */
  finish(seconds: number): Promise<ReportWritten>;
}

/** What {@link openReport} works with. */
export interface ReportSurroundings extends TaskOptions {
  /** Option values. */
  readonly values: Values;
  /** Model and text. */
  readonly task: LmTask;
  /** Datastore, index and settings. */
  readonly neighbors: NeighborSetup | undefined;
}

const defaultQueries = 100;
/** The exact search reads all keys once: what is more takes minutes, and is only done when it is asked for. */
const mostKeyBytes = 8e9;
/** Tokens of a neighbour's context on the page. */
const tokensBefore = 16;
const tokensAfter = 6;

/**
 * Prepares the file of `--report`, if it was given: checks that it can be written before the work begins.
 *
 * @param surroundings - what is evaluated, with what
 * @throws `REPORT_WITHOUT_NEIGHBORS` when nothing is searched; `FILE_…`
 */
export async function openReport(surroundings: ReportSurroundings): Promise<ReportOutput | undefined> {
  const { values, task, neighbors } = surroundings;
  const path = (values['report'] ?? null) as string | null;
  if (path === null) return undefined;
  if (neighbors === undefined) {
    throw new KnnLmError('REPORT_WITHOUT_NEIGHBORS', '--report needs neighbours', {
      hint: 'Add --score-knn-lm, or --settings: the page is about what the neighbours do.',
    });
  }
  refuseShortened(values, '--report');
  if (values['report_queries'] !== null) countOf(values['report_queries'] as number, '--report-queries');
  await checkWritable(path);
  const { ReportCollector } = await import('@knn-lm/report');
  const { lambda, temperature, k = neighbors.retriever.k } = neighbors.mixing;
  const collector = new ReportCollector({
    words: task.dictionary,
    text: task.dataset,
    k,
    lambda: typeof lambda === 'number' ? lambda : undefined,
    temperature,
  });
  return {
    add: collector.add,
    finish: (seconds) => writeReport(path, collector, { ...surroundings, neighbors }, seconds),
  };
}

type Complete = ReportSurroundings & { readonly neighbors: NeighborSetup };

async function writeReport(
  path: string,
  collector: ReportCollector,
  surroundings: Complete,
  seconds: number,
): Promise<ReportWritten> {
  const { renderReport } = await import('@knn-lm/report');
  const { values, task, neighbors, logger } = surroundings;
  const index = await measure(surroundings);
  const origin = await openDatastoreText(values, task, neighbors.datastore, {
    info: () => {},
    warn: (line) => logger?.info(line),
  });
  try {
    const run = await runFacts({ values, task, neighbors, seconds });
    const page = renderReport(collector.finish({ run, index, contextOf: contextsOf(origin.texts) }));
    const bytes = Buffer.byteLength(page);
    await writeFileAtomic(path, page).catch((cause: unknown) => {
      throw describeFileError(cause, path, 'write the report');
    });
    logger?.info(`the report is in ${path} (${(bytes / 1e6).toFixed(1)} MB; open it in a browser)`);
    return { path, bytes, datastore_text: origin.texts.length > 0 };
  } finally {
    origin.close();
  }
}

/** The tokens around a row, where one of the texts has it, with the value that the datastore has. */
function contextsOf(texts: readonly DatastoreText[]): ContextOf {
  return (row, value) => {
    for (const text of texts) {
      const position = text.position(row);
      if (position === undefined) continue;
      const { dataset } = text;
      const start = Math.max(0, position - tokensBefore);
      const tokens = dataset.readTokens(start, Math.min(position + 1 + tokensAfter, dataset.tokenCount));
      const at = position - start;
      if (tokens[at] === value) return { before: tokens.slice(0, at), after: tokens.slice(at + 1) };
    }
    return undefined;
  };
}

/** Measures the index; the keys are only read where they are open, and not too many to read unasked. */
async function measure({ values, neighbors, signal, onProgress }: Complete): Promise<IndexFacts> {
  const { index, datastore } = neighbors;
  const wanted = (values['report_queries'] ?? null) as number | null;
  const keyBytes = datastore.rows * datastore.dimension * (datastore.dtype === 'fp16' ? 2 : 4);
  const affordable = keyBytes <= mostKeyBytes ? defaultQueries : 0;
  const queries = datastore.hasKeys ? (wanted ?? affordable) : 0;
  const threads = (values['threads'] ?? undefined) as number | undefined;
  const statistics = await measureIndex(index, datastore, { queries, threads, signal, onProgress });
  if (queries > 0) return { statistics, note: undefined };
  const reason = datastore.hasKeys
    ? `that reads all ${(keyBytes / 1e9).toFixed(0)} GB of keys; --report-queries 100 does it`
    : 'the keys were not opened; --load-keys opens them';
  return { statistics, note: wanted === 0 ? undefined : `Recall was not measured: ${reason}.` };
}

/** Hours of work are not to end with a file that cannot be written. */
async function checkWritable(path: string): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK);
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory() === true) throw Object.assign(new Error('a folder'), { code: 'EISDIR' });
  } catch (cause) {
    throw describeFileError(cause, path, 'write the report');
  }
}
