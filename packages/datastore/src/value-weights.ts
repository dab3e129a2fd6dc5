import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from './engine.js';
import { DatastoreError, describeReadError } from './error.js';
import { weightsName } from './layout.js';
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
    const path = join(folder, weightsName);
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
    const shape = { rows, dimension: 1, dtype: 'fp32' } as const;
    const parts = [{ rows, keys: path, values: '' }];
    const engine = openEngine({ ...shape, parts, needKeys: true, needValues: false }, undefined);
    return new ValueWeights(engine, path, rows);
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
    const bad = weights.findIndex(isBad);
    if (bad >= 0) throw badWeight(this.#path, ids[bad], weights[bad]);
    return weights;
  }

  /**
   * Reads the weights of consecutive entries.
   *
   * @param start - the first entry
   * @param count - how many; they have to be there
   * @returns `[count]`
   * @throws {@link DatastoreError} `DATASTORE_BAD_WEIGHT`
   */
  read(start: number, count: number): Float32Array {
    const weights = new Float32Array(count);
    this.#engine.readKeys(start, weights);
    const bad = weights.findIndex(isBad);
    if (bad >= 0) throw badWeight(this.#path, start + bad, weights[bad]);
    return weights;
  }

  /**
   * Reads all weights once and checks that they are finite and not negative. Memory: 256 KiB.
   *
   * @throws {@link DatastoreError} `DATASTORE_BAD_WEIGHT` for the first that is not
   */
  check(): void {
    const step = 1 << 16;
    for (let row = 0; row < this.#rows; row += step) this.read(row, Math.min(step, this.#rows - row));
  }

  /** Closes the file. */
  close(): void {
    this.#engine.close();
  }
}

function isBad(weight: number): boolean {
  return !(weight >= 0 && weight < Infinity);
}

function badWeight(path: string, row: number, weight: number): DatastoreError {
  return new DatastoreError('DATASTORE_BAD_WEIGHT', `${path}: the weight of entry ${row} is ${weight}`, {
    hint: 'Weights are finite and not negative; make the file again.',
    details: { path, row },
  });
}
