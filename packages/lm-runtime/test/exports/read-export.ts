import { readFileSync } from 'node:fs';
import { repositoryFile } from '@knn-lm/testing';
import type { LmRunBatch } from '../../src/batch.js';

/** The models that export_models.py has made. */
export const exportedModels = [
  'gpt2.opset13',
  'gpt2.mask.opset14',
  'plain.int32.opset17',
  'llama.past.opset13',
  'llama.past.opset17',
  'llama.first.opset17',
];

/** What torch computes for one of them. */
export interface ExportGolden {
  /** `[rows][width]`. */
  readonly ids: readonly (readonly number[])[];
  /** Natural logarithm of the probability of the next token, `[rows][width - 1]`. */
  readonly targetLogProbs: readonly (readonly number[])[];
  /** Outputs of modules by torch's path, `[rows][width][C]`. */
  readonly modules: Readonly<Record<string, readonly (readonly (readonly number[])[])[]>>;
}

/** Path of an exported model. */
export function exportPath(name: string): string {
  return repositoryFile('packages', 'lm-runtime', 'test', 'exports', `${name}.onnx`);
}

/** torch's results. */
export function readExport(name: string): ExportGolden {
  return JSON.parse(readFileSync(exportPath(name).replace(/onnx$/, 'json'), 'utf8')) as ExportGolden;
}

/** All positions that have a target; rows of different lengths are padded on the right with `pad`. */
export function exportBatch({ ids }: Pick<ExportGolden, 'ids'>, pad = 1): LmRunBatch {
  const rows = ids.length;
  const width = Math.max(...ids.map((row) => row.length));
  const tokens = new Int32Array(rows * width).fill(pad);
  const targets = new Int32Array(rows * width).fill(pad);
  const positions: number[] = [];
  ids.forEach((row, r) => {
    tokens.set(row, r * width);
    targets.set(row.slice(1), r * width);
    for (let i = 0; i < row.length - 1; i++) positions.push(r * width + i);
  });
  return { rows, width, tokens, targets, positions: Int32Array.from(positions) };
}
