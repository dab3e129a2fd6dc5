import { readFileSync } from 'node:fs';
import {
  openDataBin,
  planLmBatches,
  type BreakMode,
  type LmBatch,
  type LmBatchPlan,
} from '@knn-lm/binarizer';
import { fixture } from '@knn-lm/testing';
import type { LanguageModel } from '../src/language-model.js';

/** One run of the Python system: its command, and its result. */
export interface PythonRun {
  /** Arguments as typed. */
  readonly command: string;
  /** Exit status. */
  readonly exit: number;
  /** Mean loss in bits. */
  readonly loss_base2?: number;
}

/** The runs that an index file of the fixtures lists. */
export function readRuns(...path: string[]): Record<string, PythonRun> {
  return JSON.parse(readFileSync(fixture(...path), 'utf8')) as Record<string, PythonRun>;
}

/** Value of a flag in a command. */
function flag(command: string, name: string): string | undefined {
  return new RegExp(`${name} (\\S+)`).exec(command)?.[1];
}

/** The batches that a command evaluates. */
export async function planOfRun(
  dataBin: string,
  command: string,
  model: LanguageModel,
): Promise<LmBatchPlan> {
  const split = flag(command, '--gen-subset') ?? 'test';
  const { dictionary, dataset } = await openDataBin(fixture(dataBin), split);
  const number = (name: string) => {
    const value = flag(command, name);
    return value === undefined ? undefined : Number(value);
  };
  return planLmBatches(dataset, dictionary, {
    breakMode: (flag(command, '--sample-break-mode') ?? 'none') as BreakMode,
    tokensPerSample: number('--tokens-per-sample') ?? 1024,
    contextWindow: number('--context-window') ?? 0,
    maxTokens: number('--max-tokens'),
    batchSize: number('--batch-size'),
    maxPositions: model.info.maxPositions,
  });
}

/** Positions that are scored: those after the context. */
export function scoredPositions(batch: LmBatch): Int32Array {
  const positions: number[] = [];
  for (let row = 0; row < batch.rows; row++) {
    for (let column = batch.starts[row]; column < batch.lengths[row]; column++) {
      positions.push(row * batch.width + column);
    }
  }
  return Int32Array.from(positions);
}
