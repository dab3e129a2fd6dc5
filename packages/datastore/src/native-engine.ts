import { createRequire } from 'node:module';
import type { DistanceOptions, Engine, EngineFiles } from './engine.js';

/** The addon's class; see `native/addon.cc`. */
interface MappedMatrix {
  readKeys(start: number, target: Float32Array): void;
  readValues(start: number, target: Int32Array): number;
  gatherKeys(ids: Float64Array, target: Float32Array): void;
  gatherValues(ids: Float64Array, target: Int32Array): number;
  squaredDistances(
    queries: Float32Array,
    ids: Float64Array,
    k: number,
    target: Float32Array,
    threads: number,
    missingIsLastRow: boolean,
    kernel: number,
    mapped: boolean,
  ): Promise<void>;
  populate(file: number, byteOffset: number, byteLength: number): Promise<void>;
  hold(): void;
  close(): void;
}

interface Addon {
  MappedMatrix: new (
    keys: readonly string[] | undefined,
    values: readonly string[] | undefined,
    rows: readonly number[],
    dimension: number,
    dtype: string,
  ) => MappedMatrix;
  kernels: readonly string[];
  releaseFreeMemory(): void;
  multiplyAdd<T extends Float32Array | Float64Array>(
    a: T,
    b: T,
    c: T,
    n: number,
    m: number,
    k: number,
    threads: number,
  ): void;
}

/** The addon, or why it cannot be used. */
export type LoadedAddon = { readonly addon: Addon } | { readonly reason: string };

let loaded: LoadedAddon | undefined;

/** Loads the addon once; where it was not built or does not fit this machine, the reason. */
export function loadAddon(): LoadedAddon {
  loaded ??= tryLoad();
  return loaded;
}

function tryLoad(): LoadedAddon {
  try {
    const require = createRequire(import.meta.url);
    return { addon: require('../build/mapped-matrix.node') as Addon };
  } catch (error) {
    return { reason: (error as Error).message.split('\n')[0] };
  }
}

/** Reads through the addon: arrays mapped into C++, distances on threads, nothing on the event loop but checks. */
export class NativeEngine implements Engine {
  readonly name = 'native';
  readonly kernels: readonly string[];
  readonly #matrix: MappedMatrix;

  constructor(addon: Addon, files: EngineFiles) {
    const { parts, needKeys, needValues, dimension, dtype } = files;
    this.#matrix = new addon.MappedMatrix(
      needKeys ? parts.map(({ keys }) => keys) : undefined,
      needValues ? parts.map(({ values }) => values) : undefined,
      parts.map(({ rows }) => rows),
      dimension,
      dtype,
    );
    this.kernels = addon.kernels;
  }

  readKeys(start: number, target: Float32Array): void {
    this.#matrix.readKeys(start, target);
  }

  readValues(start: number, target: Int32Array): number {
    return this.#matrix.readValues(start, target);
  }

  gatherKeys(ids: Float64Array, target: Float32Array): void {
    this.#matrix.gatherKeys(ids, target);
  }

  gatherValues(ids: Float64Array, target: Int32Array): number {
    return this.#matrix.gatherValues(ids, target);
  }

  async squaredDistances(
    queries: Float32Array,
    ids: Float64Array,
    k: number,
    target: Float32Array,
    { threads, missing, kernel, access }: DistanceOptions,
  ): Promise<void> {
    const index = this.kernels.indexOf(kernel);
    const [last, mapped] = [missing === 'last-row', access === 'mapped'];
    await this.#matrix.squaredDistances(queries, ids, k, target, threads, last, index, mapped);
  }

  async populate(part: number, byteOffset: number, byteLength: number): Promise<void> {
    await this.#matrix.populate(part, byteOffset, byteLength);
  }

  hold(): void {
    this.#matrix.hold();
  }

  close(): void {
    this.#matrix.close();
  }
}
