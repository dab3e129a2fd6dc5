import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Longer than any input. */
export const noLimit = 2 ** 31 - 1;

/** What is taken of the `config.json` that Hugging Face's tools write beside a model. */
export interface ModelConfig {
  /** Longest input; {@link noLimit} where it is not said. */
  readonly maxPositions: number;
  /** Size of the vocabulary, where it is said. */
  readonly vocabSize: number | undefined;
}

/** What GPT-2 (`n_positions`, `n_ctx`), LLaMA and OPT (`max_position_embeddings`) and MPT (`max_seq_len`) call it. */
const lengthNames = ['n_positions', 'max_position_embeddings', 'n_ctx', 'max_seq_len'];

/** Reads the `config.json` beside an `.onnx` file or above its folder; what is not there, or no JSON, says nothing. */
export async function readModelConfig(path: string): Promise<ModelConfig> {
  const folder = dirname(path);
  const config =
    (await readJson(join(folder, 'config.json'))) ?? (await readJson(join(folder, '..', 'config.json')));
  const lengths = lengthNames.map((name) => positive(config?.[name]));
  return {
    maxPositions: lengths.find((length) => length !== undefined) ?? noLimit,
    vocabSize: positive(config?.['vocab_size']),
  };
}

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function positive(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined;
}
