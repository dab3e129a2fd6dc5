import type { TokenDataset } from '@knn-lm/binarizer';
import { inspectTokens, TextPlaces, type Inspection, type TokenSelection } from '@knn-lm/knn-lm';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import { flag, int, str, type Option } from '../options/option.js';
import type { CommandLine } from '../options/parse.js';
import { datastoreTextOptions, settingsOptions } from '../options/settings.js';
import { countOf, parseTokenRange } from '../options/token-range.js';
import type { Command, CommandContext } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { UsageError } from '../terminal/usage-error.js';
import { openDatastoreText } from './datastore-text.js';
import { capturedModule, knnEvaluationOptions } from './eval-knn-lm.js';
import { dataResult, evaluationResult, modelResult } from './eval-result.js';
import { describeRecord, reportStyle } from './inspect-report.js';
import { openLmTask, type Values } from './lm-task.js';
import { refuseShortened } from './output-neighbors.js';
import { recordResult } from './record-result.js';
import { openSettledNeighbors, settleValues } from './settings-file.js';

const selectionOptions: readonly Option[] = [
  int('--position', null, 'the token with this number in the text, from 0'),
  int('--sentence', null, 'the tokens of this sentence (line), from 0'),
  int('--token', null, 'only this token of the sentence, from 0'),
  str('--range', null, 'the tokens START:END of the text'),
  int('--top-gain', null, 'so many tokens that the neighbours help most (scores the whole text)'),
  int('--top-loss', null, 'so many tokens that they hurt most (scores the whole text)'),
];

const commandLine: CommandLine = {
  program: 'knn-lm inspect',
  description: 'Shows what was retrieved for some tokens of a text, from where, and what it changed.',
  positionals: { data: 'folder made by fairseq-preprocess' },
  options: [
    ...knnEvaluationOptions.map((option) =>
      option.flags[0] === '--num-neighbors' ? { ...option, default: 1024 } : option,
    ),
    ...settingsOptions,
    ...datastoreTextOptions,
    ...selectionOptions,
    int('--neighbors', 10, 'neighbours of each token that are shown'),
    int('--context', 12, 'tokens that are shown before each token and each neighbour'),
    flag('--jsonl', 'print one JSON object a token; log lines go to standard error'),
  ],
};

/** A longer range is for `--output-neighbors` of `eval_knn_lm`, which does not keep it in memory. */
const longestRange = 10_000;

/** `knn-lm inspect`. */
export const inspectCommand: Command = {
  commandLine,
  async run(parsed, context) {
    const settled = await settleValues(parsed);
    const { values } = settled;
    refuseShortened(values, 'inspect');
    const { signal } = context;
    const { log, progress } = openTerminal({ json: context.json || values['jsonl'] === true }, values);
    const logger = log.named('knn_lm.inspect');
    reportOptionsWithoutEffect(parsed, logger);
    checkSelection(values);
    const task = await openLmTask(values, {
      purpose: 'score',
      keysDtype: 'fp32',
      moduleToCapture: await capturedModule(parsed),
      signal,
      onProgress: progress.report,
      logger,
      dataLogger: log.named('fairseq.data.data_utils'),
      taskLogger: log.named('fairseq.tasks.fairseq_task'),
    });
    const closers: (() => void)[] = [];
    try {
      const surroundings = { signal, onProgress: progress.report, logger };
      const selection = selectionOf(values, task.dataset);
      const neighbors = await openSettledNeighbors(settled, task, surroundings);
      closers.push(() => neighbors.close());
      for (const line of neighbors.description) logger.info(line);
      const origin = await openDatastoreText(values, task, neighbors.datastore, logger);
      closers.push(() => origin.close());
      const { model, plan, dictionary, dataset } = task;
      const inspection = await inspectTokens(model, plan, selection, {
        ...surroundings,
        dictionary,
        dataset,
        retriever: neighbors.retriever,
        mixing: neighbors.mixing,
        datastoreText: origin.texts,
        neighbors: countOf(values['neighbors'] as number, '--neighbors'),
        contextTokens: countOf(values['context'] as number, '--context'),
      });
      progress.close();
      print(inspection, values, context);
      return {
        tokens: inspection.records.map(recordResult),
        scored: evaluationResult(inspection.evaluation),
        datastore_text: origin.texts.length > 0,
        model: modelResult(values, task),
        data: dataResult(values, task),
        neighbors: {
          ...neighbors.about,
          num_neighbors: neighbors.retriever.k,
          lambda_value: neighbors.lambdaResult,
          temperature_value: neighbors.mixing.temperature,
        },
      };
    } finally {
      progress.close();
      for (const close of closers.reverse()) close();
      await task.close();
    }
  },
};

function print({ records }: Inspection, values: Values, { print: write }: CommandContext): void {
  const style = reportStyle();
  const isJson = values['jsonl'] === true;
  for (const [i, record] of records.entries()) {
    const text = isJson ? `${JSON.stringify(recordResult(record))}\n` : describeRecord(record, style);
    if (!write(isJson || i === 0 ? text : `\n${text}`)) return;
  }
}

/** One of the ways to name tokens must be given, before minutes are spent on opening. */
function checkSelection(values: Values): void {
  const ways = ['position', 'sentence', 'range', 'top_gain', 'top_loss'];
  const given = ways.filter((name) => values[name] !== null);
  const flags = (names: readonly string[]) => names.map((name) => `--${name.replace('_', '-')}`).join(', ');
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none of them' : flags(given);
    throw new UsageError(`give one of ${flags(ways)}; found: ${found}`, '');
  }
  if (values['token'] !== null && values['sentence'] === null)
    throw new UsageError('argument --token: goes with --sentence', '');
}

function selectionOf(values: Values, dataset: TokenDataset): TokenSelection {
  const number = (name: string) => values[name] as number | null;
  const [gain, loss] = [number('top_gain'), number('top_loss')];
  if (gain !== null) return { kind: 'gain', count: Math.max(1, countOf(gain, '--top-gain')) };
  if (loss !== null) return { kind: 'loss', count: Math.max(1, countOf(loss, '--top-loss')) };
  const { start, end } = rangeOf(values, dataset);
  if (end - start <= longestRange) return { kind: 'range', start, end };
  throw new UsageError(
    `argument --range: ${end - start} tokens; at most ${longestRange} are shown (eval_knn_lm --output-neighbors writes any number)`,
    '',
  );
}

function rangeOf(values: Values, dataset: TokenDataset): { start: number; end: number } {
  const places = new TextPlaces(dataset);
  const sentence = values['sentence'] as number | null;
  const token = values['token'] as number | null;
  const given = values['range'] as string | null;
  if (given !== null) {
    const { start, end } = parseTokenRange(given, '--range');
    return { start: places.at(start).position, end: Math.min(end, dataset.tokenCount) };
  }
  if (sentence !== null && token === null) return places.range(sentence);
  const { position } =
    sentence === null ? places.at(values['position'] as number) : places.of(sentence, token as number);
  return { start: position, end: position + 1 };
}
