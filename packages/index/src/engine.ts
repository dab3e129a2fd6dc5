import type { TaskOptions } from '@knn-lm/common';
import type { TrainingPlan, VectorArray } from '@knn-lm/faiss';

/** Which implementation of Faiss does the work: our addon, or the npm package `faiss-node`. */
export type EngineName = 'native' | 'faiss-node';

/** What an index is to be. */
export type IndexSpec =
  | { readonly type: 'IndexFlatL2'; readonly dimension: number }
  | {
      readonly type: 'IndexIVFPQ';
      readonly dimension: number;
      readonly centroids: number;
      readonly codeSize: number;
      readonly bitsPerIndex: number;
    }
  | {
      /** From one of Faiss's factory strings. */
      readonly type: 'factory';
      readonly dimension: number;
      readonly description: string;
    };

/** How one call is run. */
export interface EngineCallOptions {
  /** Threads; 0 for all cores. */
  readonly threads?: number | undefined;
  /** Stops the call. */
  readonly signal?: AbortSignal | undefined;
}

/** The rows an index is trained on, set piece by piece. */
export interface EngineTrainingRows {
  /** Copies vectors `[n, dimension]` to their positions `[n]`. */
  set(vectors: VectorArray, positions: Float64Array): void;
  /** Gives the memory back. */
  close(): void;
}

/** An index of one engine. */
export interface EngineIndex {
  /** Dimensions of a vector. */
  readonly dimension: number;
  /** Vectors in it. */
  readonly size: number;
  /** Whether vectors can be added. */
  readonly isTrained: boolean;
  /** What it is, in one line. */
  readonly description: string;
  /** Coarse centroids of an inverted file. */
  readonly centroids: number | undefined;
  /** Lists that a search looks through; `undefined` for an exact index, where setting it does nothing. */
  nprobe: number | undefined;
  /** Whether files of it can be joined: an inverted file whose lists can be mapped. */
  readonly isJoinable: boolean;
  /** Makes room for the rows of a plan. */
  trainingRows(plan: TrainingPlan): EngineTrainingRows;
  /** Trains on rows that {@link EngineIndex.trainingRows} made. */
  train(
    rows: EngineTrainingRows,
    plan: TrainingPlan,
    options: EngineCallOptions & TaskOptions,
  ): Promise<void>;
  /**
   * Adds vectors; ids count on from the size, or from `firstId`, which not every kind of index takes.
   */
  add(vectors: VectorArray, options: EngineCallOptions & { readonly firstId?: number }): Promise<void>;
  /** Removes all vectors; it stays trained. */
  reset(): Promise<void>;
  /** Finds the k nearest neighbours of each query. */
  search(
    queries: Float32Array,
    k: number,
    options: EngineCallOptions,
  ): Promise<{ distances: Float32Array; ids: Float64Array }>;
  /** How many keys each inverted list holds; `undefined` where there are none, or the engine does not tell. */
  listSizes(): Promise<Float64Array | undefined>;
  /** Memory that it takes, in bytes; `undefined` where the engine does not tell. */
  readonly memoryBytes: number | undefined;
  /** Writes it under a temporary name and renames; not where lists are mapped. */
  write(path: string, options: EngineCallOptions): Promise<void>;
  /** Gives the memory back. */
  close(): void;
}

/** An implementation of Faiss. */
export interface IndexEngine {
  /** Which one. */
  readonly name: EngineName;
  /** Makes an empty index. */
  create(spec: IndexSpec): EngineIndex;
  /**
   * Reads an index file; with `map` its inverted lists stay on disk where the engine can do that; with `trusted` also
   * kinds that cannot be checked first.
   */
  read(path: string, options: { readonly map?: boolean; readonly trusted?: boolean }): Promise<EngineIndex>;
}
