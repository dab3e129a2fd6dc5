import { KnnLmError, type TaskOptions } from '@knn-lm/common';
import type { Datastore } from '@knn-lm/datastore';
import type { KnnIndex } from '@knn-lm/index';
import { evaluate, type AdaptiveLambda, type Evaluation, type Mixing, type Retriever } from '@knn-lm/knn-lm';
import type { ParsedArguments } from '../options/parse.js';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import type { CommandContext } from '../terminal/command.js';
import type { FairseqLog } from '../terminal/log.js';
import { openTerminal } from '../terminal/terminal.js';
import { WordOutput } from './eval-output.js';
import { dataResult, evaluationResult, modelResult } from './eval-result.js';
import { checkPartialOptions, evaluatePartial } from './eval-partial.js';
import { openLmTask, type LmTask, type Values } from './lm-task.js';
import { writeNeighbors } from './output-neighbors.js';
import { openReport, type ReportWritten } from './report-output.js';

/** The name under which fairseq logs an evaluation. */
const evalLogName = 'fairseq_cli.eval_lm';

/** The neighbours' part of an evaluation. */
export interface NeighborSetup {
  /** Looks the neighbours up. */
  readonly retriever: Retriever;
  /** The open datastore. */
  readonly datastore: Datastore;
  /** Its open index. */
  readonly index: KnnIndex;
  /** How they are mixed in. */
  readonly mixing: Mixing;
  /** Lambda for programs. */
  readonly lambdaResult: number | AdaptiveLambda;
  /** Lines that say which datastore and index are used, and how. */
  readonly description: readonly string[];
  /** The same for programs. */
  readonly about: object;
  /** Frees index and datastore. */
  close(): void;
}

/** How {@link runEvaluation} gets its neighbours. */
export interface EvaluationOptions {
  /** Module whose output is the query; not needed where there are no neighbours. */
  readonly moduleToCapture?: string | undefined;
  /** The option values, where they are not only those of the command line. */
  readonly values?: Values | undefined;
  /** Opens datastore and index once model and text are open. */
  readonly openNeighbors?: ((task: LmTask, surroundings: TaskOptions) => Promise<NeighborSetup>) | undefined;
}

/**
 * Evaluates a text as fairseq-eval-lm does, and prints what it prints.
 *
 * @param parsed - the command line
 * @param context - signal and output
 * @param options - module and neighbours
 * @returns the result for `--json`
 */
export async function runEvaluation(
  parsed: ParsedArguments,
  context: CommandContext,
  options: EvaluationOptions,
): Promise<object> {
  const { values = parsed.values } = options;
  const { signal } = context;
  const { log, progress } = openTerminal(context, values);
  const logger = log.named(evalLogName);
  reportOptionsWithoutEffect(parsed, logger);
  checkPartialOptions(values);
  const task = await openLmTask(values, {
    purpose: 'score',
    keysDtype: 'fp32',
    moduleToCapture: options.moduleToCapture,
    signal,
    onProgress: progress.report,
    logger,
    dataLogger: log.named('fairseq.data.data_utils'),
    taskLogger: log.named('fairseq.tasks.fairseq_task'),
  });
  let neighbors: NeighborSetup | undefined;
  try {
    neighbors = await options.openNeighbors?.(task, { signal, onProgress: progress.report, logger });
    logger.info(describeModel(values, task));
    for (const line of neighbors?.description ?? []) logger.info(line);
    const { model, plan, dictionary } = task;
    const words = new WordOutput(dictionary, logger, wordOptions(values));
    const about = () => ({
      model: modelResult(values, task),
      data: dataResult(values, task),
      neighbors: neighbors === undefined ? null : neighborsResult(neighbors),
    });
    if (typeof values['partial_result'] === 'string') {
      const startMs = performance.now();
      const watched = { signal, onProgress: progress.report, logger };
      const partial = await evaluatePartial(values, { task, neighbors, words, ...watched });
      return { partial, seconds: (performance.now() - startMs) / 1000, ...about() };
    }
    const report = await openReport({ values, task, neighbors, signal, onProgress: progress.report, logger });
    const startMs = performance.now();
    const written = await writeNeighbors({ values, task, neighbors, logger }, (listener) =>
      evaluate(model, plan, {
        retriever: neighbors?.retriever,
        ...neighbors?.mixing,
        signal,
        onProgress: progress.report,
        async onBatch(batch, logProbs, knnProbs) {
          words.add(batch, logProbs);
          await report?.add(batch, logProbs, knnProbs);
          return listener?.(batch, logProbs, knnProbs);
        },
      }),
    );
    words.logStatistics();
    const seconds = (performance.now() - startMs) / 1000;
    const result = words.loss.result();
    let reported: ReportWritten | undefined;
    try {
      reported = await report?.finish(seconds);
    } finally {
      // fairseq's last lines come last, and come also when the report cannot be written.
      printResult(log, result, seconds);
    }
    return {
      ...evaluationResult(result),
      seconds,
      ...about(),
      output_neighbors: written,
      report: reported,
    };
  } finally {
    progress.close();
    neighbors?.close();
    await task.close();
  }
}

function neighborsResult({ about, retriever, lambdaResult, mixing }: NeighborSetup) {
  return {
    ...about,
    num_neighbors: retriever.k,
    lambda_value: lambdaResult,
    temperature_value: mixing.temperature,
  };
}

function describeModel(values: Values, task: LmTask): string {
  const { info } = task.model;
  return (
    `model ${String(values['path'])} (${info.parameters.toLocaleString('en-US')} parameters, ` +
    `vocabulary ${info.vocabSize.toLocaleString('en-US')}), device ${info.device}${info.precision === 'fp32' ? '' : `, ${info.precision}`}`
  );
}

function wordOptions(values: Values) {
  return {
    wordProbs: values['output_word_probs'] === true,
    wordStats: values['output_word_stats'] === true,
    pieceMark: pieceMark(values['post_process'] as string | null),
  };
}

function pieceMark(postProcess: string | null): string | undefined {
  if (postProcess === null) return undefined;
  if (postProcess === 'subword_nmt' || postProcess.trimEnd() === '@@') return '@@';
  throw new KnnLmError('POST_PROCESS', `--post-process ${postProcess} cannot be used to score words`, {
    hint: 'Use subword_nmt (or "@@ "), or leave the flag out to score the pieces; fairseq knows no other here either.',
  });
}

/** fairseq's last two lines, to the letter: scripts parse them. */
export function printResult(log: FairseqLog, result: Evaluation, seconds: number): void {
  const { tokenCount, infiniteCount, lossBase2, perplexity } = result;
  if (infiniteCount > 0) {
    log
      .named(evalLogName)
      .warn(`${infiniteCount} tokens have probability 0 and are left out of the loss, as in fairseq`);
  }
  const rate = (tokenCount / seconds).toFixed(2);
  log.result(
    evalLogName,
    `Evaluated ${tokenCount.toLocaleString('en-US')} tokens in ${seconds.toFixed(1)}s (${rate} tokens/s)`,
  );
  log.result(evalLogName, `Loss (base 2): ${lossBase2.toFixed(4)}, Perplexity: ${perplexity.toFixed(2)}`);
}
