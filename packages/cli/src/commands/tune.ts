import type { TaskOptions } from '@knn-lm/common';
import {
  evaluateEach,
  lambdaFunction,
  tune,
  writeSettings,
  type Evaluation,
  type SettingsResult,
  type TuneOutcome,
} from '@knn-lm/knn-lm';
import { int, str, type Option } from '../options/option.js';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { UsageError } from '../terminal/usage-error.js';
import { capturedModule, knnEvaluationOptions } from './eval-knn-lm.js';
import type { NeighborSetup } from './eval.js';
import { dataResult, evaluationResult, modelResult } from './eval-result.js';
import { openLmTask, type LmTask, type Values } from './lm-task.js';
import { openNeighbors, warnOfOwnText } from './neighbors.js';
import { fingerprintsOf } from './settings-file.js';
import {
  describeOutcome,
  edgesOfGrid,
  foundResult,
  foundSettings,
  recommended,
  settingsResult,
  type Found,
} from './tune-report.js';

const candidateOptions: readonly Option[] = [
  str('--candidate-num-neighbors', null, 'numbers of neighbours to try (default: --num-neighbors)', {
    nargs: '+',
  }),
  str('--candidate-lambda-value', null, 'lambdas to try (default: 0.05 to 0.9)', { nargs: '+' }),
  str('--candidate-temperature-value', null, 'temperatures to try (default: 1 to 100)', { nargs: '+' }),
  int('--adaptive-steps', 16, 'steps at the most of the lambda that depends on the nearest distance'),
  str('--test-subset', null, 'give the perplexity of what was found on this split too'),
  str('--save-settings', null, 'write the settings to this file, for --settings of eval_knn_lm'),
  str(
    '--save-lambda',
    'auto',
    'which lambda goes there; auto: what is best on text that it was not fitted on',
    {
      choices: ['auto', 'grid', 'fitted', 'adaptive'],
    },
  ),
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
    const grid = gridOf(values);
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
      const searched = { ...values, num_neighbors: Math.max(...grid.ks) };
      const neighbors = await openNeighbors(searched, task, surroundings);
      try {
        for (const line of neighbors.description.slice(0, 2)) logger.info(line);
        const startMs = performance.now();
        const outcome = await tune(task.model, task.plan, neighbors.retriever, grid, {
          fit: true,
          adaptiveSteps: values['adaptive_steps'] as number,
          signal,
          onProgress: progress.report,
        });
        const tested = await testFound(values, task, neighbors, foundSettings(outcome), surroundings);
        progress.close();
        context.print(describeOutcome(outcome, tested.found, tested.lm));
        for (const line of edgesOfGrid(outcome.best, grid)) logger.warn(line);
        const saved = await saveSettings(values, task, neighbors, outcome, tested);
        if (saved !== null) context.print(`settings (${saved.source}) are in ${saved.path}\n`);
        return {
          best: settingsResult(outcome.best),
          language_model: evaluationResult(outcome.lm),
          found: tested.found.map(foundResult),
          language_model_test: tested.lm === undefined ? null : evaluationResult(tested.lm),
          settings: saved,
          results: outcome.results.map((result) => settingsResult(result)),
          fitted: outcome.fitted?.results.map((result) => settingsResult(result)),
          adaptive: outcome.adaptive?.results.map((result) => settingsResult(result)),
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

function gridOf(values: Values) {
  return {
    lambdas: candidates(values['candidate_lambda_value'], '--candidate-lambda-value') ?? defaultLambdas,
    temperatures:
      candidates(values['candidate_temperature_value'], '--candidate-temperature-value') ??
      defaultTemperatures,
    ks: candidates(values['candidate_num_neighbors'], '--candidate-num-neighbors') ?? [
      values['num_neighbors'] as number,
    ],
  };
}

/** What was found, with its losses on the test text. */
interface Tested {
  readonly found: readonly Found[];
  /** The language model alone on the test text. */
  readonly lm: Evaluation | undefined;
  /** The fingerprint of that text. */
  readonly textFingerprint: string | undefined;
}

/** Evaluates what was found on the split of `--test-subset`, in one pass. */
async function testFound(
  values: Values,
  task: LmTask,
  { retriever, datastore }: NeighborSetup,
  found: readonly Found[],
  surroundings: TaskOptions,
): Promise<Tested> {
  const split = values['test_subset'] as string | null;
  if (split === null) return { found, lm: undefined, textFingerprint: undefined };
  const { dataset, plan } = await task.openSplit(split);
  try {
    warnOfOwnText(datastore, dataset, surroundings.logger);
    const mixings = found.map(({ k, temperature, lambda }) => ({
      k,
      temperature,
      lambda: typeof lambda === 'number' ? lambda : lambdaFunction(lambda),
    }));
    const { lm, mixed } = await evaluateEach(task.model, plan, mixings, { retriever, ...surroundings });
    const tested = found.map((one, i) => ({ ...one, test: mixed[i] }));
    return { found: tested, lm, textFingerprint: dataset.fingerprint };
  } finally {
    dataset.close();
  }
}

/** Writes the file of `--save-settings`. */
async function saveSettings(
  values: Values,
  task: LmTask,
  neighbors: NeighborSetup,
  outcome: TuneOutcome,
  { found, lm: lmTest, textFingerprint }: Tested,
) {
  const path = values['save_settings'] as string | null;
  if (path === null) return null;
  const source = values['save_lambda'];
  const chosen = found.find((one) => one.source === source) ?? recommended(found);
  const result = (
    split: unknown,
    fingerprint: string,
    mixed: Evaluation,
    lm: Evaluation,
  ): SettingsResult => ({
    split: String(split),
    textFingerprint: fingerprint,
    tokenCount: mixed.tokenCount,
    perplexity: mixed.perplexity,
    lmPerplexity: lm.perplexity,
  });
  const results = [result(task.split, task.dataset.fingerprint, chosen, outcome.lm)];
  if (chosen.test !== undefined && lmTest !== undefined && textFingerprint !== undefined)
    results.push(result(values['test_subset'], textFingerprint, chosen.test, lmTest));
  const { k, temperature, lambda } = chosen;
  const { index } = neighbors;
  await writeSettings(path, {
    settings: {
      k,
      temperature,
      lambda,
      recomputeDistance: values['recompute_distance'] === true,
      nprobe: index.nprobe,
      valueWeights: values['load_value_weights'] === true,
    },
    fingerprints: await fingerprintsOf(task, neighbors),
    results,
  });
  return { path, source: chosen.source };
}

function candidates(value: unknown, flag: string): number[] | undefined {
  if (value === null) return undefined;
  const numbers = (value as readonly string[]).map(Number);
  const wrong = numbers.findIndex((number) => Number.isNaN(number));
  if (wrong >= 0)
    throw new UsageError(`argument ${flag}: not a number: '${(value as readonly string[])[wrong]}'`, '');
  return numbers;
}
