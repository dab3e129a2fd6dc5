import type { AdaptiveLambda, Evaluation, TuneGrid, TuneOutcome, TuneResult } from '@knn-lm/knn-lm';
import { formatTable } from '../terminal/table.js';
import { evaluationResult } from './eval-result.js';
import { describeLambda } from './neighbors.js';

/** The ways to a lambda. */
export type LambdaSource = 'grid' | 'fitted' | 'adaptive';

/** Settings that were found, one for each way to a lambda. */
export interface Found extends Evaluation {
  /** How lambda was found. */
  readonly source: LambdaSource;
  /** Neighbours that count. */
  readonly k: number;
  /** Divisor of the squared distances. */
  readonly temperature: number;
  /** Weight of the neighbours. */
  readonly lambda: number | AdaptiveLambda;
  /** Loss on tokens that lambda was not fitted on; `undefined` for one of the grid. */
  readonly heldOut?: Evaluation | undefined;
  /** Loss on the test text; `undefined` when none was asked for. */
  readonly test?: Evaluation | undefined;
}

/** The best settings of each kind. */
export function foundSettings({ best, fitted, adaptive }: TuneOutcome): Found[] {
  const fits = [
    ...(fitted === undefined ? [] : [{ source: 'fitted' as const, ...fitted.best, heldOut: fitted.heldOut }]),
    ...(adaptive === undefined
      ? []
      : [{ source: 'adaptive' as const, ...adaptive.best, heldOut: adaptive.heldOut }]),
  ];
  return [{ source: 'grid', ...best }, ...fits];
}

/** The fitted lambda, or the adaptive one where that is better on text that it was not fitted on. */
export function recommended(found: readonly Found[]): Found {
  const fits = found.filter(({ heldOut }) => heldOut !== undefined);
  if (fits.length === 0) return found[0];
  const loss = ({ heldOut }: Found) => (heldOut as Evaluation).lossBase2;
  return fits.reduce((best, one) => (loss(one) < loss(best) ? one : best));
}

/** Settings and their losses for programs. */
export function foundResult({ source, k, lambda, temperature, heldOut, test, ...evaluation }: Found): object {
  return {
    source,
    num_neighbors: k,
    lambda_value: lambda,
    temperature_value: temperature,
    ...evaluationResult(evaluation),
    held_out: heldOut === undefined ? null : evaluationResult(heldOut),
    test: test === undefined ? null : evaluationResult(test),
  };
}

/** One combination for programs. */
export function settingsResult<Lambda extends number | AdaptiveLambda>(
  result: Evaluation & { readonly k: number; readonly temperature: number; readonly lambda: Lambda },
) {
  const { k, lambda, temperature } = result;
  return {
    num_neighbors: k,
    lambda_value: lambda,
    temperature_value: temperature,
    ...evaluationResult(result),
  };
}

/** Tables for people: the best lambda of each k and temperature, and what each way to a lambda gives. */
export function describeOutcome(
  outcome: TuneOutcome,
  found: readonly Found[],
  lmTest: Evaluation | undefined,
): string {
  const { best, results, lm } = outcome;
  return (
    `${gridTable(results)}\n${results.length} combinations; the best lambda of each k and temperature is shown\n` +
    `${foundTable(found, lm, lmTest)}\n` +
    'held out: each half of the text with the lambda that was fitted on the other half\n' +
    `language model alone: ${lm.perplexity.toFixed(2)}\n` +
    `best: --num-neighbors ${best.k} --lambda-value ${best.lambda} --temperature-value ${best.temperature} (perplexity ${best.perplexity.toFixed(2)})\n`
  );
}

/** A line where the best temperature may lie beyond those that were tried. */
export function edgesOfGrid(best: TuneResult, { temperatures }: TuneGrid): string[] {
  const { temperature } = best;
  const [least, most] = [Math.min(...temperatures), Math.max(...temperatures)];
  if (least === most || (temperature !== least && temperature !== most)) return [];
  const side = temperature === least ? 'smallest' : 'largest';
  return [
    `the best temperature, ${temperature}, is the ${side} that was tried: try others with --candidate-temperature-value`,
  ];
}

function gridTable(results: readonly TuneResult[]): string {
  const heads = ['k', 'temperature', 'lambda', 'loss (base 2)', 'perplexity'];
  return formatTable(
    heads.map((head) => ({ head, align: 'right' })),
    bestOfEachTemperature(results).map((row) => [
      row.k,
      row.temperature,
      row.lambda,
      row.lossBase2.toFixed(4),
      row.perplexity.toFixed(2),
    ]),
  );
}

const sourceNames = { grid: 'best of the grid', fitted: 'fitted (EM)', adaptive: 'adaptive' } as const;

function foundTable(found: readonly Found[], lm: Evaluation, lmTest: Evaluation | undefined): string {
  const heads = ['k', 'temperature', 'perplexity', 'held out', ...(lmTest === undefined ? [] : ['test'])];
  const shown = (evaluation: Evaluation | undefined) => evaluation?.perplexity.toFixed(2) ?? '';
  const rows = found.map(({ source, k, temperature, lambda, perplexity, heldOut, test }) => [
    `${sourceNames[source]}: ${shortLambda(lambda)}`,
    k,
    temperature,
    perplexity.toFixed(2),
    shown(heldOut),
    ...(lmTest === undefined ? [] : [shown(test)]),
  ]);
  const alone = [
    'language model alone',
    '',
    '',
    shown(lm),
    '',
    ...(lmTest === undefined ? [] : [shown(lmTest)]),
  ];
  return formatTable(
    [{ head: 'lambda' }, ...heads.map((head) => ({ head, align: 'right' as const }))],
    [...rows, alone],
  );
}

function shortLambda(lambda: number | AdaptiveLambda): string {
  if (typeof lambda === 'number') return String(Number(lambda.toFixed(4)));
  return describeLambda(lambda)
    .replace(/^adaptive \(/, '')
    .replace(/ of the nearest distance\)$|\)$/, '');
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
