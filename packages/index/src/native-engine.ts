import type { TaskOptions } from '@knn-lm/common';
import { FaissIndex, TrainingRows, type TrainingPlan, type VectorArray } from '@knn-lm/faiss';
import type { EngineCallOptions, EngineIndex, EngineTrainingRows, IndexEngine, IndexSpec } from './engine.js';
import { KnnIndexError } from './errors.js';

/** Our own addon. */
export const nativeEngine: IndexEngine = {
  name: 'native',
  create(spec: IndexSpec): EngineIndex {
    if (spec.type === 'IndexFlatL2') return new NativeIndex(FaissIndex.flatL2(spec.dimension));
    if (spec.type === 'IndexIVFPQ') return new NativeIndex(FaissIndex.ivfPq(spec));
    return new NativeIndex(FaissIndex.factory(spec.dimension, spec.description));
  },
  async read(
    path: string,
    options: { readonly map?: boolean; readonly trusted?: boolean },
  ): Promise<EngineIndex> {
    return new NativeIndex(await FaissIndex.read(path, options));
  },
};

class NativeIndex implements EngineIndex {
  constructor(readonly index: FaissIndex) {}

  get dimension(): number {
    return this.index.dimension;
  }
  get size(): number {
    return this.index.size;
  }
  get isTrained(): boolean {
    return this.index.isTrained;
  }
  get description(): string {
    return this.index.description;
  }
  get centroids(): number | undefined {
    return this.index.centroids;
  }
  get nprobe(): number | undefined {
    return this.index.nprobe;
  }
  set nprobe(value: number | undefined) {
    if (value !== undefined && this.index.centroids !== undefined) this.index.nprobe = value;
  }

  get isJoinable(): boolean {
    return this.index.isJoinable;
  }

  trainingRows(plan: TrainingPlan): TrainingRows {
    return new TrainingRows(this.dimension, plan.rows);
  }
  async train(
    rows: EngineTrainingRows,
    plan: TrainingPlan,
    options: EngineCallOptions & TaskOptions,
  ): Promise<void> {
    if (!(rows instanceof TrainingRows)) {
      throw new KnnIndexError('KNN_INDEX_ARGUMENT', 'the training rows belong to another engine');
    }
    await this.index.trainOn(rows, plan, options);
  }
  async add(vectors: VectorArray, options: EngineCallOptions & { readonly firstId?: number }): Promise<void> {
    const { firstId = this.size } = options;
    if (firstId === this.size) return this.index.add(vectors, options);
    const ids = Float64Array.from({ length: vectors.length / this.dimension }, (_, i) => firstId + i);
    await this.index.addWithIds(vectors, ids, options);
  }
  async reset(): Promise<void> {
    await this.index.reset();
  }
  async search(
    queries: Float32Array,
    k: number,
    options: EngineCallOptions,
  ): Promise<{ distances: Float32Array; ids: Float64Array }> {
    return this.index.search(queries, k, options);
  }
  async write(path: string, options: EngineCallOptions): Promise<void> {
    await this.index.write(path, options);
  }
  async listSizes(): Promise<Float64Array | undefined> {
    return this.index.listSizes();
  }
  get memoryBytes(): number {
    return this.index.memoryBytes;
  }
  close(): void {
    this.index.close();
  }
}
