import { FaissError } from './errors.js';

/** Vectors, `[n, dimension]` row-major: single precision, or the 16-bit patterns of half precision. */
export type VectorArray = Float32Array | Uint16Array;

/** No vector is longer: Faiss counts bytes of a row in 32 bits in places. */
export const MAX_DIMENSION = 2 ** 20;
/** More lists than this would need more training vectors than Faiss can number. */
export const MAX_CENTROIDS = 2 ** 24;
/** Results of one search call, queries times neighbours: 12 bytes each. */
export const MAX_RESULTS = 2 ** 28;

/** Throws `FAISS_ARGUMENT` unless the value is an integer in the range. */
export function checkInteger(name: string, value: number, minimum: number, maximum: number): void {
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return;
  throw new FaissError('FAISS_ARGUMENT', `${name} is ${value}`, {
    hint: `Give a whole number from ${minimum} to ${maximum}.`,
    details: { [name]: value },
  });
}

/**
 * Throws unless the array holds whole rows.
 *
 * @returns the number of rows
 */
export function checkVectors(name: string, vectors: VectorArray, dimension: number): number {
  if (!(vectors instanceof Float32Array || vectors instanceof Uint16Array)) {
    throw new FaissError('FAISS_ARGUMENT', `${name} are neither a Float32Array nor a Uint16Array`, {
      hint: 'Give single precision as Float32Array, half precision as Uint16Array.',
    });
  }
  if (vectors.length % dimension !== 0) {
    throw new FaissError(
      'FAISS_DIMENSION',
      `${name}: ${vectors.length} numbers are not a whole number of vectors of ${dimension} dimensions`,
      {
        hint: 'Check the dimension of the index and of the vectors.',
        details: { found: vectors.length, dimension },
      },
    );
  }
  return vectors.length / dimension;
}

/** Throws unless there is one id a row, each an integer from 0 to 2^53 - 1. */
export function checkIds(ids: Float64Array, rows: number): void {
  if (ids.length !== rows) {
    throw new FaissError('FAISS_ARGUMENT', `${ids.length} ids for ${rows} vectors`, {
      hint: 'Give one id for each vector.',
      details: { found: ids.length, expected: rows },
    });
  }
  const row = ids.findIndex((id) => !(Number.isSafeInteger(id) && id >= 0));
  if (row < 0) return;
  throw new FaissError('FAISS_ARGUMENT', `the id of row ${row} is ${ids[row]}`, {
    hint: 'Ids are whole numbers from 0 to 2^53 - 1; -1 stands for a missing neighbour.',
    details: { row, found: ids[row] },
  });
}

/** Throws unless Faiss can make an IndexIVFPQ of these numbers. */
export function checkIvfPq(
  dimension: number,
  centroids: number,
  codeSize: number,
  bitsPerIndex: number,
): void {
  checkInteger('the dimension', dimension, 1, MAX_DIMENSION);
  checkInteger('the number of centroids', centroids, 1, MAX_CENTROIDS);
  checkInteger('the code size', codeSize, 1, dimension);
  checkInteger('bits per index', bitsPerIndex, 1, 8);
  if (dimension % codeSize === 0) return;
  throw new FaissError(
    'FAISS_ARGUMENT',
    `a code size of ${codeSize} does not divide ${dimension} dimensions`,
    {
      hint: `Choose a divisor of ${dimension}.`,
      details: { codeSize, dimension },
    },
  );
}

/** Throws for numbers in a factory string that Faiss divides by or allocates without looking at them. */
export function checkFactoryString(description: string): void {
  for (const [digits] of description.matchAll(/\d+/g)) {
    if (Number(digits) >= 1 && Number(digits) <= MAX_CENTROIDS) continue;
    throw new FaissError('FAISS_ARGUMENT', `the factory string ${description} has the number ${digits}`, {
      hint: `Its numbers are from 1 to ${MAX_CENTROIDS}: IVF4096,PQ64np, for example.`,
      details: { description },
    });
  }
}
