import type { Datastore } from './datastore.js';
import { chunkRowsOf, writeDerived, type Derived, type DeriveOptions, type Rows } from './derive.js';
import { DatastoreError } from './error.js';
import { normalizeIdentity, type DatastoreIdentity } from './identity.js';
import { allWeights, hasWeights, withWeights, type WeightReader } from './source-weights.js';

/** A set of rows of a datastore. */
export interface RowSelection {
  /** Rows in the set. */
  readonly size: number;
  /** Whether a row is in it. */
  has(row: number): boolean;
}

/** What {@link selectRows} takes. */
export interface SelectOptions extends DeriveOptions {
  /**
   * What the new datastore is beside the source's identity: how the rows were chosen, and from what. An interrupted run
   * is continued only by one that says the same.
   */
  readonly identity: DatastoreIdentity;
  /** The weights of all rows of the source. @default the source's own, where it has any */
  readonly weights?: WeightReader | undefined;
}

/**
 * Writes the datastore of some rows of another, in their order, bit for bit, with their weights and the source's
 * transform. An interrupted run goes on where it stopped.
 *
 * Memory: 12 MiB beside the selection.
 *
 * @param source - open, with its keys
 * @param selection - the rows that stay; at least one
 * @param folder - of the new datastore
 * @param options - identity, how to watch and stop
 * @throws {@link DatastoreError} `DATASTORE_BAD_ARGUMENT`, `DATASTORE_SAME_FOLDER`, and what `DatastoreWriter` throws
 */
export async function selectRows(
  source: Datastore,
  selection: RowSelection,
  folder: string,
  options: SelectOptions,
): Promise<Derived> {
  const { overwrite = false, weights, ...task } = options;
  if (selection.size < 1) {
    throw new DatastoreError('DATASTORE_BAD_ARGUMENT', 'no row would be left', {
      hint: 'Choose one row or more.',
    });
  }
  const { dimension, dtype } = source;
  const identity = normalizeIdentity({ ...source.manifest?.identity, ...options.identity });
  const shape = { rows: selection.size, dimension, dtype };
  return withWeights([source], ([own]) => {
    const reader = weights ?? (hasWeights(source) ? own : undefined);
    return writeDerived(
      folder,
      [source],
      { ...shape, ...task, identity, overwrite },
      (skip) => selected(source, selection, skip),
      {
        weights: reader && (() => selectedWeights(source.rows, reader, selection)),
        transform: source.transform,
      },
    );
  });
}

function* selectedWeights(
  rows: number,
  reader: WeightReader,
  selection: RowSelection,
): Generator<Float32Array> {
  let row = 0;
  for (const weights of allWeights(reader, rows)) {
    const first = row;
    row += weights.length;
    yield weights.filter((_, i) => selection.has(first + i));
  }
}

/** The selected rows after the first `skip` of them. */
function* selected(source: Datastore, selection: RowSelection, skip: number): Generator<Rows> {
  const step = chunkRowsOf(source);
  const { dimension } = source;
  let toSkip = skip;
  for (let start = 0; start < source.rows; start += step) {
    const count = Math.min(step, source.rows - start);
    const kept: number[] = [];
    for (let i = 0; i < count; i++) {
      if (!selection.has(start + i)) continue;
      if (toSkip > 0) toSkip--;
      else kept.push(i);
    }
    if (kept.length === 0) continue;
    const keys = source.readStoredKeys(start, count);
    const values = source.readValues(start, count);
    for (const [to, from] of kept.entries()) {
      keys.copyWithin(to * dimension, from * dimension, (from + 1) * dimension);
      values[to] = values[from];
    }
    yield { keys: keys.subarray(0, kept.length * dimension), values: values.subarray(0, kept.length) };
  }
}
