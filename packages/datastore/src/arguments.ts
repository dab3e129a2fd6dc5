import { DatastoreError } from './error.js';

/** An open datastore, as far as arguments are checked against it. */
interface Checked {
  readonly folder: string;
  readonly rows: number;
  readonly dimension: number;
}

/** Throws `DATASTORE_BAD_ARGUMENT`. */
export function badArgument(reason: string): never {
  throw new DatastoreError('DATASTORE_BAD_ARGUMENT', reason, {
    hint: 'Give arrays whose shapes fit together.',
  });
}

/** Throws `DATASTORE_ROWS_OUT_OF_RANGE` unless the rows are there. */
export function checkRange(start: number, count: number, { folder, rows }: Checked): void {
  const fits = Number.isSafeInteger(start) && Number.isSafeInteger(count) && start >= 0 && count >= 0;
  if (fits && start + count <= rows) return;
  throw new DatastoreError(
    'DATASTORE_ROWS_OUT_OF_RANGE',
    `rows ${start} to ${start + count} were asked for; the datastore ${folder} has ${rows}`,
    { hint: 'Ask for rows that are there.', details: { start, count, rows } },
  );
}

/** Throws `DATASTORE_ID_OUT_OF_RANGE` unless each id is a row, or -1. */
export function checkIds(ids: Float64Array, { folder, rows }: Checked): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if ((id >= 0 && id < rows && Math.floor(id) === id) || id === -1) continue;
    throw new DatastoreError(
      'DATASTORE_ID_OUT_OF_RANGE',
      `id ${id} (element ${i}) is not a row of the datastore ${folder}, which has ${rows}`,
      {
        hint: 'The index was built from another datastore: build it again from this one.',
        details: { id, rows },
      },
    );
  }
}

/** Throws `DATASTORE_BAD_ARGUMENT` unless queries `[n, dimension]`, ids and target `[n, k]` fit together. */
export function checkDistanceShapes(
  queries: Float32Array,
  ids: Float64Array,
  k: number,
  target: Float32Array,
  datastore: Checked,
): void {
  if (!Number.isSafeInteger(k) || k < 1) badArgument(`k is ${k}, not a positive integer`);
  if (ids.length % k !== 0) badArgument(`ids have ${ids.length} elements, which is no multiple of k = ${k}`);
  const expected = (ids.length / k) * datastore.dimension;
  if (queries.length !== expected)
    badArgument(`queries have ${queries.length} elements; ids [${ids.length / k}, ${k}] take ${expected}`);
  if (target.length !== ids.length) badArgument(`target has ${target.length} elements, not ${ids.length}`);
  checkIds(ids, datastore);
}
