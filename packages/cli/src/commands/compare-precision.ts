import { evaluate, type Evaluation } from '@knn-lm/knn-lm';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import type { ParsedArguments } from '../options/parse.js';
import type { CommandContext } from '../terminal/command.js';
import { formatTable } from '../terminal/table.js';
import { openTerminal } from '../terminal/terminal.js';
import { evaluationResult } from './eval-result.js';
import { openLmTask } from './lm-task.js';

interface Measured extends Evaluation {
  readonly precision: string;
  /** Time of the evaluation, without opening the model. */
  readonly seconds: number;
}

/**
 * `fairseq-eval-lm --compare-precision`: evaluates a text with single-precision and with 8-bit linear layers, so that the
 * price of the faster arithmetic is known before a datastore is made with it.
 *
 * @param parsed - the command line of fairseq-eval-lm
 * @param context - signal and output
 * @returns the result for `--json`
 */
export async function comparePrecision(parsed: ParsedArguments, context: CommandContext): Promise<object> {
  const { values } = parsed;
  const { signal } = context;
  const { log, progress } = openTerminal(context, values);
  const logger = log.named('fairseq_cli.eval_lm');
  reportOptionsWithoutEffect(parsed, logger);
  const results: Measured[] = [];
  try {
    for (const precision of ['fp32', 'int8']) {
      const watched = { signal, onProgress: progress.report, logger };
      const task = await openLmTask(
        { ...values, precision },
        {
          purpose: 'score',
          keysDtype: 'fp32',
          ...watched,
          dataLogger: log.named('fairseq.data.data_utils'),
          taskLogger: log.named('fairseq.tasks.fairseq_task'),
        },
      );
      try {
        const startMs = performance.now();
        const result = await evaluate(task.model, task.plan, { signal, onProgress: progress.report });
        results.push({ ...result, precision, seconds: (performance.now() - startMs) / 1000 });
      } finally {
        await task.close();
      }
    }
  } finally {
    progress.close();
  }
  context.print(describeComparison(results));
  return {
    precisions: results.map(({ precision, seconds, ...result }) => ({
      precision,
      ...evaluationResult(result),
      seconds,
    })),
  };
}

function describeComparison(results: readonly Measured[]): string {
  const numbers = ['loss (base 2)', 'perplexity', 'seconds'].map((head) => ({
    head,
    align: 'right' as const,
  }));
  const table = formatTable(
    [{ head: 'precision' }, ...numbers],
    results.map(({ precision, lossBase2, perplexity, seconds }) => [
      precision,
      lossBase2.toFixed(4),
      perplexity.toFixed(2),
      seconds.toFixed(1),
    ]),
  );
  const [exact, rounded] = results;
  const change = 100 * (rounded.perplexity / exact.perplexity - 1);
  return (
    `${table}\n${exact.tokenCount.toLocaleString('en-US')} tokens; int8 changes the perplexity by ` +
    `${change >= 0 ? '+' : ''}${change.toFixed(3)} % and takes ${(rounded.seconds / exact.seconds).toFixed(2)} of the time\n`
  );
}
