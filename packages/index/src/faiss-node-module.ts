import { KnnIndexError } from './errors.js';

/** The part of an index of `faiss-node` 0.5.1 that is used: synchronous, and plain arrays only. */
export interface FaissNodeIndex {
  ntotal(): number;
  getDimension(): number;
  isTrained(): boolean;
  add(vectors: number[]): void;
  train(vectors: number[]): void;
  search(queries: number[], k: number): { distances: number[]; labels: number[] };
  toBuffer(): Buffer;
}

/** The part of `faiss-node` that is used. */
export interface FaissNodeModule {
  readonly Index: {
    fromFactory(dimension: number, description: string): FaissNodeIndex;
    fromBuffer(bytes: Buffer): FaissNodeIndex;
  };
}

/**
 * Imports `faiss-node`, an optional dependency: its install script downloads a binary, and may fail.
 *
 * @throws {@link KnnIndexError} `KNN_INDEX_ENGINE_MISSING`
 */
export async function importFaissNode(): Promise<FaissNodeModule> {
  // A variable, so that the compiler does not look for a package that may be absent.
  const name = 'faiss-node';
  try {
    const imported = (await import(name)) as FaissNodeModule & { default?: FaissNodeModule };
    return imported.default ?? imported;
  } catch (cause) {
    throw new KnnIndexError('KNN_INDEX_ENGINE_MISSING', 'the engine faiss-node is not installed', {
      hint: 'Install it with `npm install faiss-node`, or use the native engine: `npm run setup` compiles it.',
      cause,
    });
  }
}
