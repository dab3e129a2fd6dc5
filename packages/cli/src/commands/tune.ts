import { tune, type TuneOutcome, type TuneResult } from '@knn-lm/knn-lm';
import { str, type Option } from '../options/option.js';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { formatTable } from '../terminal/table.js';
import { openTerminal } from '../terminal/terminal.js';
import { UsageError } from '../terminal/usage-error.js';
import { capturedModule, knnEvaluationOptions } from './eval-knn-lm.js';
import { openLmTask } from './lm-task.js';
import { dataResult, evaluationResult, modelResult } from './eval-result.js';
import { openNeighbors } from './neighbors.js';

const candidateOptions: readonly Option[] = [
  str('--candidate-num-neighbors', null, 'numbers of neighbours to try (default: --num-neighbors)', {
    nargs: '+',
  }),
  str('--candidate-lambda-value', null, 'lambdas to try (default: 0.05 to 0.9)', { nargs: '+' }),
  str('--candidate-temperature-value', null, 'temperatures to try (default: 1 to 100)', { nargs: '+' }),
];

const commandLine: CommandLine = {
  program: 'knn-lm tune',
  description: 'Chooses k, lambda and temperature on a validation text, in one pass.',
  positionals: { data: 'folder made by fairseq-preprocess' },
  options: [...knnEvaluationOptions.map(searchedByDefault), ...candidateOptions],
};

/** Choosing settings is about validation text and many neighbours. */
function searchedByDefault(option: Option): Option {
  if (option.flags[0] === '--gen-subset') return { ...option, default: 'valid' };
  if (option.flags[0] === '--num-neighbors') return { ...option, default: 1024 };
  return option;
}

const defaultLambdas = Array.from({ length: 18 }, (_, i) => (i + 1) / 20);
const defaultTemperatures = [1, 2, 5, 10, 15, 20, 25, 30, 40, 50, 70, 100];

/** `knn-lm tune`. */
export const tuneCommand: Command = {
  commandLine,
  async run(parsed, context) {
    const { values } = parsed;
    const { signal } = context;
    const grid = {
      lambdas: candidates(values['candidate_lambda_value'], '--candidate-lambda-value') ?? defaultLambdas,
      temperatures:
        candidates(values['candidate_temperature_value'], '--candidate-temperature-value') ??
        defaultTemperatures,
      ks: candidates(values['candidate_num_neighbors'], '--candidate-num-neighbors') ?? [
        values['num_neighbors'] as number,
      ],
    };
    const { log, progress } = openTerminal(context, values);
    const logger = log.named('knn_lm.tune');
    reportOptionsWithoutEffect(parsed, logger);
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
    try {
      const surroundings = { signal, onProgress: progress.report, logger };
      const neighbors = await openNeighbors(
        { ...values, num_neighbors: Math.max(...grid.ks) },
        task,
        surroundings,
      );
      try {
        for (const line of neighbors.description.slice(0, 2)) logger.info(line);
        const startMs = performance.now();
        const outcome = await tune(task.model, task.plan, neighbors.retriever, grid, {
          signal,
          onProgress: progress.report,
        });
        progress.close();
        context.print(describeOutcome(outcome));
        return {
          best: settingsResult(outcome.best),
          language_model: evaluationResult(outcome.lm),
          results: outcome.results.map(settingsResult),
          model: modelResult(values, task),
          data: dataResult(values, task),
          neighbors: neighbors.about,
          seconds: (performance.now() - startMs) / 1000,
        };
      } finally {
        neighbors.close();
      }
    } finally {
      progress.close();
      await task.close();
    }
  },
};

function settingsResult(result: TuneResult) {
  const { k, lambda, temperature } = result;
  return {
    num_neighbors: k,
    lambda_value: lambda,
    temperature_value: temperature,
    ...evaluationResult(result),
  };
}

function candidates(value: unknown, flag: string): number[] | undefined {
  if (value === null) return undefined;
  const numbers = (value as readonly string[]).map(Number);
  const wrong = numbers.findIndex((number) => Number.isNaN(number));
  if (wrong >= 0)
    throw new UsageError(`argument ${flag}: not a number: '${(value as readonly string[])[wrong]}'`, '');
  return numbers;
}

/** The perplexity of the best lambda for each k and temperature, and the flags of the best of all. */
function describeOutcome({ best, results, lm }: TuneOutcome): string {
  const heads = ['k', 'temperature', 'lambda', 'loss (base 2)', 'perplexity'];
  const table = formatTable(
    heads.map((head) => ({ head, align: 'right' })),
    bestOfEachTemperature(results).map((row) => [
      row.k,
      row.temperature,
      row.lambda,
      row.lossBase2.toFixed(4),
      row.perplexity.toFixed(2),
    ]),
  );
  return (
    `${table}\n${results.length} combinations; the best lambda of each k and temperature is shown\n` +
    `language model alone: ${lm.perplexity.toFixed(2)}\n` +
    `best: --num-neighbors ${best.k} --lambda-value ${best.lambda} --temperature-value ${best.temperature} (perplexity ${best.perplexity.toFixed(2)})\n`
  );
}

function bestOfEachTemperature(results: readonly TuneResult[]): TuneResult[] {
  const best = new Map<string, TuneResult>();
  for (const result of results) {
    const key = `${result.k} ${result.temperature}`;
    const other = best.get(key);
    if (other === undefined || result.lossBase2 < other.lossBase2) best.set(key, result);
  }
  return [...best.values()];
}
