import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { KnnLmError, type TaskOptions } from '@knn-lm/common';
import { measureDistanceRate, readManifest, type KeysDtype } from '@knn-lm/datastore';
import { INDEX_FILE, measureExactRates, measureIndexRates } from '@knn-lm/index';
import {
  countDatastoreRows,
  estimateSizes,
  estimateStages,
  measureMixingRate,
  measureModelRate,
  measureWritingRate,
  type PlannedRun,
} from '@knn-lm/knn-lm';
import { optional, openLmTask, type LmTask, type LmTaskOptions, type Values } from './lm-task.js';

type Surroundings = Omit<LmTaskOptions, 'purpose' | 'keysDtype' | 'moduleToCapture'>;

/**
 * Measures what a planned run would take: some batches of the model, writing, an index of random vectors.
 *
 * @param values - the options of `knn-lm doctor`
 * @param folder - where there is room for 300 MB for a moment
 * @param surroundings - signal and loggers
 */
export async function planRun(values: Values, folder: string, surroundings: Surroundings) {
  const watch = watchOthers();
  const generation = await measureGeneration(values, surroundings);
  const evaluation = await measureEvaluation(values, surroundings);
  const run = plannedRun(values, generation, evaluation.memory);
  const work = await mkdtemp(join(folder, 'knn-lm-doctor-'));
  try {
    const k = values['num_neighbors'] as number;
    const { rows, dimension } = run;
    const dtype = keysDtype(values);
    const threads = optional(values['threads'] as number | null);
    const task: TaskOptions = { signal: surroundings.signal, logger: surroundings.logger };
    const index =
      run.index === 'exact'
        ? await measureExactRates({ dimension, k, threads }, task)
        : await measureIndexRates({ ...run.index, dimension, k, threads }, task);
    const rates = {
      generateSeconds: generation.rate.seconds,
      writeRow: await measureWritingRate(work, { dimension, dtype }, task),
      evaluateSeconds: evaluation.rate.seconds,
      index,
      distances: await measureDistanceRate({ ...task, folder: work, dimension, dtype, rows, k, threads }),
      mix: measureMixingRate(k),
    };
    const nprobe = values['nprobe'] as number;
    return {
      run,
      text: { split: generation.split, tokens: generation.tokens },
      evaluation: { split: evaluation.split, tokens: evaluation.tokens },
      sizes: estimateSizes(run),
      stages: estimateStages(run, rates, { tokens: evaluation.tokens, nprobe }),
      finished: await finishedStages(values['datastore'] as string | null, rows),
      k,
      othersShare: watch(),
    };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** What {@link planRun} gives. */
export type Plan = Awaited<ReturnType<typeof planRun>>;

async function measureGeneration(values: Values, surroundings: Surroundings) {
  const task = await openLmTask(values, {
    ...surroundings,
    purpose: 'keys',
    keysDtype: keysDtype(values),
    moduleToCapture: values['module_to_capture'] as string,
  });
  return withTask(task, async () => {
    const { info } = task.model;
    const { plan: batches, breakMode, contextWindow, tokensPerSample, split } = task;
    const rows = countDatastoreRows({ batches, breakMode, contextWindow, tokensPerSample }, info.padIndex);
    const rate = await measureModelRate(task.model, batches, measuring(values, surroundings));
    return {
      rows,
      split,
      tokens: task.dataset.tokenCount,
      dimension: info.keyDimension,
      memory: peakMemory(),
      rate,
    };
  });
}

async function measureEvaluation(values: Values, surroundings: Surroundings) {
  const replaced = {
    ...values,
    gen_subset: values['eval_subset'],
    sample_break_mode: values['eval_sample_break_mode'] ?? values['sample_break_mode'],
    context_window: values['eval_context_window'] ?? values['context_window'],
    tokens_per_sample: values['eval_tokens_per_sample'] ?? values['tokens_per_sample'],
  };
  const task = await openLmTask(replaced, {
    ...surroundings,
    purpose: 'score',
    keysDtype: 'fp32',
    moduleToCapture: values['module_to_capture'] as string,
  });
  return withTask(task, async () => {
    const rate = await measureModelRate(task.model, task.plan, measuring(values, surroundings));
    return { split: task.split, tokens: task.plan.targetCount, memory: peakMemory(), rate };
  });
}

/** Of this process until now, in bytes; scoring needs more than making keys, so the order does not matter. */
function peakMemory(): number {
  return process.resourceUsage().maxRSS * 1024;
}

async function withTask<Result>(task: LmTask, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } finally {
    await task.close();
  }
}

function measuring(values: Values, { signal, onProgress }: Surroundings) {
  return { seconds: values['measure_seconds'] as number, signal, onProgress };
}

function keysDtype(values: Values): KeysDtype {
  return (values['keys_dtype'] as KeysDtype | null) ?? 'fp16';
}

function plannedRun(
  values: Values,
  { rows, dimension, memory }: { rows: number; dimension: number; memory: number },
  scoreMemory: number,
): PlannedRun {
  const type = values['index_type'] as string;
  if (type !== 'IndexIVFPQ' && type !== 'IndexFlatL2') {
    throw new KnnLmError('DOCTOR_INDEX_TYPE', `the time of an index ${type} cannot be estimated`, {
      hint: 'Leave --index-type out for the default, IndexIVFPQ, or give IndexFlatL2.',
    });
  }
  const index =
    type === 'IndexFlatL2'
      ? ('exact' as const)
      : {
          centroids: values['ncentroids'] as number,
          codeSize: values['code_size'] as number,
          bitsPerIndex: values['nbit_per_idx'] as number,
        };
  return {
    rows,
    dimension,
    generateMemory: memory,
    scoreMemory,
    k: values['num_neighbors'] as number,
    index,
    elementBytes: keysDtype(values) === 'fp16' ? 2 : 4,
    trainedKeys: optional(values['num_trained_keys'] as number | null),
    recomputeDistance: values['recompute_distance'] === true,
  };
}

/** Stages whose result is there already. */
async function finishedStages(folder: string | null, rows: number) {
  if (folder === null) return { generate: false, index: false };
  const manifest = await readManifest(folder);
  return {
    generate: manifest?.finished === true && manifest.rows === rows,
    index: existsSync(join(folder, INDEX_FILE)),
  };
}

/** Tells what part of the processors' time other programs have used since it was called. */
function watchOthers(): () => number {
  const before = { all: processorTimes(), own: process.cpuUsage() };
  return () => {
    const now = processorTimes();
    const { user, system } = process.cpuUsage(before.own);
    const total = now.total - before.all.total;
    const others = now.busy - before.all.busy - (user + system) / 1000;
    return total === 0 ? 0 : Math.min(1, Math.max(0, others / total));
  };
}

/** Of all cores together since the machine started, in milliseconds. */
function processorTimes(): { busy: number; total: number } {
  let [busy, total] = [0, 0];
  for (const { times } of cpus()) {
    const working = times.user + times.nice + times.sys + times.irq;
    busy += working;
    total += working + times.idle;
  }
  return { busy, total };
}

/** Where measuring may write for a moment: beside the datastore, or else in the system's temporary folder. */
export function probeFolder(existing: string, datastore: string | null): string {
  return datastore === null ? tmpdir() : existing;
}
