import { createHash } from 'node:crypto';
import { stat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Packr } from 'msgpackr';
import { writeFileAtomic } from '@knn-lm/common';
import { asBytes } from './content.js';
import { DatastoreError, describeReadError } from './error.js';
import { maxDimension } from './layout.js';
import { multiplyAdd } from './matrix-product.js';

/** Name of the transform in the folder of a datastore whose keys were reduced. */
export const transformName = 'transform.msgpack';

const formatName = 'knn-lm-key-transform';
const formatVersion = 1;
/** A map of 20,000 by 20,000 float32 with its frame; a larger file is something else. */
const maxTransformBytes = 2 ** 31;
/** Elements of the result that are computed at a time. */
const chunkElements = 2 ** 20;

const packr = new Packr({ useRecords: false });

/** What a transform is made of. */
export interface KeyTransformParts {
  /** `[outputDimension, inputDimension]` row-major. */
  readonly weight: Float32Array;
  /** `[outputDimension]`. */
  readonly bias: Float32Array;
  /** Dimension of the keys that it takes. */
  readonly inputDimension: number;
  /** What made it: decides whether interrupted work may use it again. */
  readonly madeFrom?: string | undefined;
}

/**
 * The linear map that reduced the keys of a datastore, and that queries have to go through: `weight * x + bias`.
 *
 * It is stored beside the keys as `transform.msgpack`, a MessagePack map of `format` ("knn-lm-key-transform"), `version`
 * (1), `inputDimension`, `outputDimension`, `weight` and `bias` (raw little-endian float32, row-major), `madeFrom`, and
 * `fingerprint`, the SHA-256 of `[outputDimension, inputDimension]` as JSON, the weight and the bias.
 *
 * @example
 * ```ts
 * const datastore = await Datastore.open('reduced');
 * const queries = datastore.transform?.apply(hiddenStates) ?? hiddenStates; // [n, datastore.dimension]
 * ```
 */
export class KeyTransform {
  /** `[outputDimension, inputDimension]` row-major. */
  readonly weight: Float32Array;
  /** `[outputDimension]`. */
  readonly bias: Float32Array;
  /** Dimension of the keys that it takes: the model's. */
  readonly inputDimension: number;
  /** Dimension of the keys that it gives: the datastore's. */
  readonly outputDimension: number;
  /** Identity of the map, 64 hexadecimal digits. */
  readonly fingerprint: string;
  /** What made it. */
  readonly madeFrom: string | undefined;
  /** `[inputDimension, outputDimension]`, as the product takes it. */
  readonly #transposed: Float32Array;

  /**
   * @param parts - weight, bias and dimensions
   * @throws {@link DatastoreError} `DATASTORE_BAD_TRANSFORM` when they do not fit together, or are not finite
   */
  constructor(parts: KeyTransformParts) {
    const { weight, bias, inputDimension, madeFrom } = parts;
    const outputDimension = bias.length;
    const fits = weight.length === outputDimension * inputDimension && outputDimension > 0;
    if (!Number.isSafeInteger(inputDimension) || inputDimension > maxDimension || !fits)
      throw bad(`${weight.length} weights and ${outputDimension} biases for ${inputDimension} dimensions`);
    if (![weight, bias].every((array) => array.every((element) => Number.isFinite(element))))
      throw bad('an element is not finite');
    this.weight = weight;
    this.bias = bias;
    this.inputDimension = inputDimension;
    this.outputDimension = outputDimension;
    this.madeFrom = madeFrom;
    this.fingerprint = createHash('sha256')
      .update(JSON.stringify([outputDimension, inputDimension]))
      .update(asBytes(weight))
      .update(asBytes(bias))
      .digest('hex');
    this.#transposed = new Float32Array(weight.length);
    for (let i = 0; i < outputDimension; i++) {
      for (let p = 0; p < inputDimension; p++)
        this.#transposed[p * outputDimension + i] = weight[i * inputDimension + p];
    }
  }

  /**
   * Maps keys or queries. Single precision throughout; the same bits with and without the addon.
   *
   * @param keys - `[n, inputDimension]` row-major
   * @returns `[n, outputDimension]`
   * @throws {@link DatastoreError} `DATASTORE_BAD_ARGUMENT`
   */
  apply(keys: Float32Array): Float32Array {
    const { inputDimension, outputDimension } = this;
    if (keys.length % inputDimension !== 0) {
      throw new DatastoreError(
        'DATASTORE_BAD_ARGUMENT',
        `${keys.length} elements are no whole number of keys of ${inputDimension} dimensions`,
        {
          hint: 'The keys come from another module or model than those that the transform was made for.',
          details: { elements: keys.length, dimension: inputDimension },
        },
      );
    }
    const count = keys.length / inputDimension;
    const result = new Float32Array(count * outputDimension);
    for (let row = 0; row < count; row++) result.set(this.bias, row * outputDimension);
    const step = Math.max(1, Math.floor(chunkElements / outputDimension));
    for (let row = 0; row < count; row += step) {
      const rows = Math.min(step, count - row);
      multiplyAdd(
        keys.subarray(row * inputDimension, (row + rows) * inputDimension),
        this.#transposed,
        result.subarray(row * outputDimension, (row + rows) * outputDimension),
        { rows, columns: outputDimension, inner: inputDimension },
      );
    }
    return result;
  }

  /** Writes it into the folder of a datastore, atomically, by its own name or another. */
  async save(folder: string, name = transformName): Promise<void> {
    const { weight, bias, inputDimension, outputDimension, fingerprint, madeFrom } = this;
    await writeFileAtomic(
      join(folder, name),
      packr.pack({
        ...{ format: formatName, version: formatVersion, inputDimension, outputDimension },
        ...{ weight: Buffer.from(asBytes(weight)), bias: Buffer.from(asBytes(bias)) },
        ...{ madeFrom: madeFrom ?? '', fingerprint },
      }),
    );
  }

  /**
   * Reads the transform of a datastore.
   *
   * @param folder - the datastore's
   * @param name - of the file
   * @returns `undefined` when there is none
   * @throws {@link DatastoreError} `DATASTORE_BAD_TRANSFORM`, `DATASTORE_FILE_…`
   */
  static async load(folder: string, name = transformName): Promise<KeyTransform | undefined> {
    const path = join(folder, name);
    let bytes: Uint8Array;
    try {
      const { size } = await stat(path);
      if (size > maxTransformBytes) throw bad(`it has ${size} bytes`, path);
      bytes = await readFile(path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw describeReadError(cause, path, "read the datastore's transform");
    }
    return parseTransform(bytes, path);
  }
}

function parseTransform(bytes: Uint8Array, path: string): KeyTransform {
  let fields: Record<string, unknown>;
  try {
    fields = packr.unpack(bytes) as Record<string, unknown>;
    if (typeof fields !== 'object' || fields === null) throw new Error('not a map');
  } catch (cause) {
    throw bad('it is not a MessagePack map', path, cause);
  }
  const { format, version, inputDimension, weight, bias, madeFrom, fingerprint } = fields;
  if (format !== formatName || version !== formatVersion)
    throw bad(`it is not a transform of version ${formatVersion}`, path);
  if (!(weight instanceof Uint8Array) || !(bias instanceof Uint8Array) || typeof inputDimension !== 'number')
    throw bad('a field is missing', path);
  const transform = new KeyTransform({
    ...{ weight: float32Of(weight), bias: float32Of(bias), inputDimension },
    madeFrom: typeof madeFrom === 'string' && madeFrom !== '' ? madeFrom : undefined,
  });
  if (transform.fingerprint !== fingerprint)
    throw bad('its content does not have the fingerprint it names', path);
  return transform;
}

/** A copy, which is aligned. */
function float32Of(bytes: Uint8Array): Float32Array {
  const elements = new Float32Array(Math.floor(bytes.length / 4));
  asBytes(elements).set(bytes.subarray(0, elements.byteLength));
  return elements;
}

function bad(reason: string, path = 'the transform', cause?: unknown): DatastoreError {
  return new DatastoreError('DATASTORE_BAD_TRANSFORM', `${path} cannot be used: ${reason}`, {
    hint: 'Restore the file from a copy, or reduce the datastore again (reduce_datastore_dims --overwrite).',
    details: { path },
    cause,
  });
}
