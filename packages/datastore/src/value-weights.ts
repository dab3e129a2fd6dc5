import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from './engine.js';
import { DatastoreError, describeReadError } from './error.js';
import { datastorePaths } from './layout.js';
import { openEngine } from './open.js';

/**
 * The weights of a pruned datastore: how many entries of the original each entry stands for (`weight.npy`, raw float32
 * `[rows]`, as the Python tools write it; He et al. 2021, "Efficient Nearest Neighbor Language Models").
 *
 * The file is mapped like the keys; no memory grows with the datastore.
 */
export class ValueWeights {
  readonly #engine: Engine;
  readonly #path: string;
  readonly #rows: number;

  private constructor(engine: Engine, path: string, rows: number) {
    this.#engine = engine;
    this.#path = path;
    this.#rows = rows;
  }

  /**
   * Opens the weights of a datastore.
   *
   * @param folder - the datastore's folder
   * @param rows - entries of the datastore
   * @throws {@link DatastoreError} `DATASTORE_SIZE_MISMATCH` when the file has another number of weights,
   * `DATASTORE_FILE_…` when it cannot be read
   */
  static async open(folder: string, rows: number): Promise<ValueWeights> {
    const path = join(folder, 'weight.npy');
    let size: number;
    try {
      ({ size } = await stat(path));
    } catch (cause) {
      throw describeReadError(cause, path, 'read the weights');
    }
    if (size !== rows * Float32Array.BYTES_PER_ELEMENT) {
      throw new DatastoreError(
        'DATASTORE_SIZE_MISMATCH',
        `${path} has ${size} bytes, which is ${size / Float32Array.BYTES_PER_ELEMENT} weights; the datastore has ${rows} entries`,
        {
          hint: 'Use the weights that were made with this datastore.',
          details: { path, found: size, expected: rows * 4 },
        },
      );
    }
    // A column of float32 is a matrix of keys with one dimension.
    const files = {
      rows,
      dimension: 1,
      dtype: 'fp32',
      keys: path,
      values: datastorePaths(folder).values,
    } as const;
    return new ValueWeights(openEngine(files, undefined), path, rows);
  }

  /**
   * Reads the weights of any entries.
   *
   * @param ids - entries; -1, a missing neighbour, gives the weight of the last one
   * @returns `[ids.length]`
   * @throws {@link DatastoreError} `DATASTORE_ID_OUT_OF_RANGE`, `DATASTORE_BAD_WEIGHT`
   */
  gather(ids: Float64Array): Float32Array {
    for (const id of ids) {
      if (id >= -1 && id < this.#rows && Number.isInteger(id)) continue;
      throw new DatastoreError(
        'DATASTORE_ID_OUT_OF_RANGE',
        `id ${id} has no weight in ${this.#path}, which has ${this.#rows}`,
        {
          hint: 'The index was built from another datastore: build it again from this one.',
          details: { id, rows: this.#rows },
        },
      );
    }
    const weights = new Float32Array(ids.length);
    this.#engine.gatherKeys(ids, weights);
    const bad = weights.findIndex((weight) => !(weight >= 0 && weight < Infinity));
    if (bad < 0) return weights;
    throw new DatastoreError(
      'DATASTORE_BAD_WEIGHT',
      `${this.#path}: the weight of entry ${ids[bad]} is ${weights[bad]}`,
      {
        hint: 'Weights are finite and not negative; make the file again.',
        details: { path: this.#path, row: ids[bad] },
      },
    );
  }

  /** Closes the file. */
  close(): void {
    this.#engine.close();
  }
}
