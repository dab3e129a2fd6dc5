import { silentLogger, type Logger } from '@knn-lm/common';
import type { Engine, EngineFiles } from './engine.js';
import { DatastoreError } from './error.js';
import {
  checkShape,
  datastorePaths,
  requireLittleEndian,
  valueBytes,
  type DatastoreShape,
  type KeysDtype,
} from './layout.js';
import { checkKeysSize, checkValuesSize, sizeOf, type MayBeLonger } from './sizes.js';
import { KeyTransform, transformName } from './key-transform.js';
import { loadTorchTransform } from './torch-transform.js';
import { readManifest, type Manifest } from './manifest.js';
import { resolveParts, type ResolvedPart } from './parts.js';
import { NativeEngine, loadAddon } from './native-engine.js';
import { PortableEngine } from './portable-engine.js';

/** What {@link Datastore.open} takes. */
export interface DatastoreOpenOptions {
  /** `--datastore-size`: required without a manifest, checked with one. */
  readonly rows?: number | undefined;
  /** `--keys-dimension`: required without a manifest, checked with one. */
  readonly dimension?: number | undefined;
  /** `--keys-dtype`: required without a manifest, checked with one. */
  readonly dtype?: KeysDtype | undefined;
  /**
   * Whether `keys.npy` is opened. Without it only values can be read, and the file need not be there.
   *
   * @default true
   */
  readonly needKeys?: boolean;
  /** Insists on an engine. @default native where the addon loads, else portable */
  readonly engine?: 'native' | 'portable';
  /** Hears of files that are larger than needed and of rows that are all zero. */
  readonly logger?: Logger | undefined;
}

/** A datastore whose files are checked and open. */
export interface OpenedDatastore extends DatastoreShape {
  readonly folder: string;
  readonly manifest: Manifest | undefined;
  /** The folders that have its rows. */
  readonly parts: readonly ResolvedPart[];
  readonly hasKeys: boolean;
  readonly engine: Engine;
  /** The map that the keys went through, if they did. */
  readonly transform: KeyTransform | undefined;
}

/** Opens and checks everything that {@link Datastore.open} promises. */
export async function openDatastore(folder: string, options: DatastoreOpenOptions): Promise<OpenedDatastore> {
  requireLittleEndian();
  const { needKeys = true, logger = silentLogger } = options;
  const manifest = await readManifest(folder);
  const shape =
    manifest === undefined
      ? await shapeFromOptions(folder, options)
      : manifestShape(folder, manifest, options);
  const transform = await loadTransform(folder, manifest, shape);
  warnOfAppending(folder, manifest, logger);
  const parts = await resolveParts(folder, manifest, shape.rows);
  for (const part of parts) await checkPartSizes({ ...shape, rows: part.rows }, part, needKeys, logger);
  const engine = openEngine({ ...shape, parts, needKeys, needValues: true }, options.engine);
  if (needKeys && manifest === undefined) warnOfZeroRows(engine, shape, parts[0].keys, logger);
  return { ...shape, folder, manifest, parts, hasKeys: needKeys, engine, transform };
}

async function checkPartSizes(
  shape: DatastoreShape,
  { manifest, keys, values }: ResolvedPart,
  needKeys: boolean,
  logger: Logger,
): Promise<void> {
  const may: MayBeLonger =
    manifest === undefined ? 'with a warning' : hasMoreRows(manifest, shape) ? 'yes' : 'no';
  if (needKeys) await checkKeysSize(keys, shape, may, logger);
  await checkValuesSize(values, shape, may, logger);
}

function warnOfAppending(folder: string, manifest: Manifest | undefined, logger: Logger): void {
  const { appending, rows } = manifest ?? {};
  if (appending === undefined) return;
  logger.warn(
    `${folder}: a text of ${appending.rows} rows is being appended (${appending.committedRows} are there); ` +
      `the ${rows} rows before it are used. The command that appends it goes on where it stopped`,
  );
}

/** Rows of a text that is being appended, or that was appended since the datastore became a part of another. */
function hasMoreRows({ appending, rows }: Manifest, shape: DatastoreShape): boolean {
  return appending !== undefined || rows > shape.rows;
}

/**
 * The transform that the manifest names, or, without a manifest, the one that is there. One that a manifest does not
 * name is left over from something else.
 */
async function loadTransform(
  folder: string,
  manifest: Manifest | undefined,
  { dimension }: DatastoreShape,
): Promise<KeyTransform | undefined> {
  const expected = manifest?.identity['transformFingerprint'];
  if (manifest !== undefined && expected === undefined) return undefined;
  const own = await KeyTransform.load(folder);
  const transform = manifest === undefined ? (own ?? (await loadTorchTransform(folder))) : own;
  if (manifest === undefined && transform === undefined) return undefined;
  const found = transform?.fingerprint ?? 'missing';
  if (transform?.outputDimension === dimension && (expected === undefined || found === expected))
    return transform;
  throw new DatastoreError(
    'DATASTORE_TRANSFORM_MISMATCH',
    transform?.outputDimension === dimension || transform === undefined
      ? `${folder}: the keys were reduced by the transform ${String(expected)}, the one there is ${found}`
      : `${folder}: the transform gives ${transform.outputDimension} dimensions, the keys have ${dimension}`,
    {
      hint: `Restore ${transformName} from a copy, or reduce the datastore again.`,
      details: { folder, found, expected: String(expected) },
    },
  );
}

/** Opens the arrays with the engine asked for, or else the native one, or else the portable one. */
export function openEngine(files: EngineFiles, wanted: 'native' | 'portable' | undefined): Engine {
  if (wanted === 'portable') return new PortableEngine(files);
  const loaded = loadAddon();
  if ('addon' in loaded) {
    try {
      return new NativeEngine(loaded.addon, files);
    } catch (cause) {
      throw new DatastoreError(
        'DATASTORE_FILE_MAP',
        `cannot map the datastore: ${(cause as Error).message}`,
        {
          hint: 'Check the files and their permissions.',
          details: { path: files.parts[0].values },
          cause,
        },
      );
    }
  }
  if (wanted === undefined) return new PortableEngine(files);
  throw new DatastoreError('DATASTORE_NO_ADDON', `the native engine cannot be loaded: ${loaded.reason}`, {
    hint: 'Build the package (npm run setup), or use the portable engine.',
  });
}

function manifestShape(folder: string, manifest: Manifest, options: DatastoreOpenOptions): DatastoreShape {
  if (manifest.replacing) {
    throw new DatastoreError(
      'DATASTORE_REPLACING',
      `${folder}: its replacement was interrupted while moved in`,
      {
        hint: 'Run the command that made the replacement once more: it ends the move.',
        details: { folder },
      },
    );
  }
  checkGivenShape(folder, manifest, options);
  if (!manifest.finished) {
    throw new DatastoreError(
      'DATASTORE_UNFINISHED',
      `${folder}: ${manifest.committedRows} of ${manifest.rows} rows are there; the datastore is unfinished`,
      {
        hint: 'Run the command that makes it once more: it resumes where it stopped.',
        details: { folder, committedRows: manifest.committedRows, rows: manifest.rows },
      },
    );
  }
  return { rows: manifest.rows, dimension: manifest.dimension, dtype: manifest.dtype };
}

/** With a manifest the shape need not be given; what is given must be the manifest's. */
export function checkGivenShape(folder: string, manifest: Manifest, options: GivenShape): void {
  const path = datastorePaths(folder).manifest;
  for (const field of ['rows', 'dimension', 'dtype'] as const) {
    const given = options[field];
    if (given === undefined || given === manifest[field]) continue;
    throw new DatastoreError(
      'DATASTORE_OPTION_MISMATCH',
      `${path}: ${field} is ${manifest[field]} in the datastore, but ${given} was given`,
      {
        hint: `Leave ${flagOf[field]} out (the manifest knows it), or give ${manifest[field]}, or use another datastore.`,
        details: { path, field, found: manifest[field], expected: given },
      },
    );
  }
}

/** A shape as far as it is given. */
type GivenShape = { readonly [Field in keyof DatastoreShape]?: DatastoreShape[Field] | undefined };

const flagOf = { rows: '--datastore-size', dimension: '--keys-dimension', dtype: '--keys-dtype' } as const;

/** The shape of a datastore without a manifest. */
export async function shapeFromOptions(folder: string, options: GivenShape): Promise<DatastoreShape> {
  const { rows, dimension, dtype } = options;
  if (rows !== undefined && dimension !== undefined && dtype !== undefined) {
    const shape = { rows, dimension, dtype };
    checkShape(shape);
    return shape;
  }
  const missing = (['rows', 'dimension', 'dtype'] as const).filter((field) => options[field] === undefined);
  const values = await sizeOf(datastorePaths(folder).values);
  throw new DatastoreError(
    'DATASTORE_OPTIONS_NEEDED',
    `${folder} has no manifest (datastore.msgpack), and ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not given`,
    {
      hint:
        `Give ${missing.map((field) => flagOf[field]).join(', ')} as in the program that made it; ` +
        `values.npy holds ${Number((values / valueBytes).toFixed(2))} values.`,
      details: { folder, missing: missing.join(' ') },
    },
  );
}

/** Rows looked at from the end for keys that are all zero. */
const zeroRowsLookedAt = 256;

/**
 * The Python system makes `keys.npy` in full size first: a run that crashed, or dropped blocks, leaves zeros at the end.
 */
function warnOfZeroRows(engine: Engine, shape: DatastoreShape, path: string, logger: Logger): void {
  const { rows, dimension } = shape;
  const key = new Float32Array(dimension);
  let zeros = 0;
  for (; zeros < Math.min(rows, zeroRowsLookedAt); zeros++) {
    engine.readKeys(rows - 1 - zeros, key);
    if (key.some((element) => element !== 0)) break;
  }
  if (zeros === 0) return;
  const count = zeros === Math.min(rows, zeroRowsLookedAt) ? `at least ${zeros}` : zeros;
  logger.warn(
    `${path}: the last ${count} keys are all zero: the program that made them stopped early or skipped blocks`,
  );
}
