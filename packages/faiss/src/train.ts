import type { TaskOptions } from '@knn-lm/common';
import { FaissError } from './errors.js';
import type { NativeControl, NativeDescription, NativeIndex } from './native.js';
import type { TrainingPlan } from './training-plan.js';
import type { TrainingRows } from './training-rows.js';

/** How a training is run, watched and stopped. */
export interface TrainOptions extends TaskOptions {
  /**
   * Threads of the training.
   * @default all cores
   */
  readonly threads?: number | undefined;
}

/** Faiss warns below so many vectors a centroid (`ClusteringParameters::min_points_per_centroid`). */
const FEW_POINTS_PER_CENTROID = 39;
const PROGRESS_INTERVAL_MS = 200;

/**
 * Trains a native index, with the checks that Faiss makes too late or by a message on stderr.
 *
 * @internal
 */
export async function trainNative(
  native: NativeIndex,
  about: NativeDescription,
  rows: TrainingRows,
  plan: TrainingPlan,
  options: TrainOptions & { control: NativeControl; threads: number },
): Promise<void> {
  checkRows(native, about, rows, plan);
  warnOfFewVectors(about, plan, options);
  const stop = reportProgress(about, options);
  try {
    await native.train(rows.native, plan.coarseRows, plan.productRows, options.threads, options.control);
  } finally {
    stop();
  }
}

function checkRows(
  native: NativeIndex,
  about: NativeDescription,
  rows: TrainingRows,
  plan: TrainingPlan,
): void {
  if (rows.dimension !== about.dimension) {
    throw new FaissError(
      'FAISS_DIMENSION',
      `the training vectors have ${rows.dimension} dimensions, the index has ${about.dimension}`,
      { hint: 'Check the dimension.', details: { found: rows.dimension, expected: about.dimension } },
    );
  }
  if (native.size > 0) {
    throw new FaissError(
      'FAISS_NOT_EMPTY',
      `the index holds ${native.size} vectors and cannot be trained again`,
      {
        hint: 'Reset it first: its codes would not fit new centroids.',
      },
    );
  }
  const needed = Math.max(
    about.centroids ?? 1,
    about.bitsPerIndex === undefined ? 1 : 2 ** about.bitsPerIndex,
  );
  if (plan.total < needed) {
    throw new FaissError('FAISS_TOO_FEW_VECTORS', `${plan.total} training vectors for ${needed} centroids`, {
      hint: 'Train on at least one vector for each centroid, better 40; or choose fewer centroids.',
      details: { found: plan.total, expected: needed },
    });
  }
  if (rows.filledRows < plan.rows || rows.rows < plan.rows) {
    throw new FaissError('FAISS_ARGUMENT', `only ${rows.filledRows} of ${plan.rows} training rows are set`, {
      hint: 'Set every row before training.',
    });
  }
}

function warnOfFewVectors(about: NativeDescription, plan: TrainingPlan, { logger }: TaskOptions): void {
  const centroids = Math.max(
    about.centroids ?? 0,
    about.bitsPerIndex === undefined ? 0 : 2 ** about.bitsPerIndex,
  );
  const enough = FEW_POINTS_PER_CENTROID * centroids;
  if (plan.total >= enough) return;
  logger?.warn(
    `${plan.total} training vectors for ${centroids} centroids; ${enough} or more give better ones`,
  );
}

/** Counts the k-means iterations of both quantizers while the training runs; returns what ends that. */
function reportProgress(
  { coarseIterations = 0, productIterations = 0, codeSize = 0 }: NativeDescription,
  { onProgress, control }: TaskOptions & { control: NativeControl },
): () => void {
  if (onProgress === undefined || codeSize === 0) return () => undefined;
  const total = coarseIterations + codeSize * productIterations;
  const report = (): void => {
    onProgress({ stage: 'train', done: Math.min(control.iterations, total), total, unit: 'iterations' });
  };
  report();
  const timer = setInterval(report, PROGRESS_INTERVAL_MS);
  return () => {
    clearInterval(timer);
    report();
  };
}
