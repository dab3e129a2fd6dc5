import type { Evaluation } from '@knn-lm/knn-lm';
import type { LmTask, Values } from './lm-task.js';

/** An evaluation for programs. */
export function evaluationResult({ tokenCount, infiniteCount, lossBase2, perplexity }: Evaluation) {
  return { tokens: tokenCount, infinite_tokens: infiniteCount, loss_base2: lossBase2, perplexity };
}

/** The model of a command for programs. */
export function modelResult(values: Values, { model }: { readonly model: Pick<LmTask['model'], 'info'> }) {
  const { info } = model;
  return {
    path: values['path'] as string,
    fingerprint: info.fingerprint,
    parameters: info.parameters,
    vocabulary: info.vocabSize,
    module: info.moduleToCapture,
    dimension: info.keyDimension,
    device: info.device,
    precision: info.precision,
  };
}

/** The text of a command for programs. */
export function dataResult(values: Values, { split, dataset, dictionary, plan }: LmTask) {
  return {
    path: values['data'] as string,
    split,
    sentences: dataset.length,
    tokens: dataset.tokenCount,
    blocks: plan.sampleCount,
    targets: plan.targetCount,
    text_fingerprint: dataset.fingerprint,
    dictionary_fingerprint: dictionary.fingerprint,
  };
}
