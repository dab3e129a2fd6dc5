import { KnnError } from './errors.js';
import { LossSum, nothingToScore, type Evaluation } from './evaluate.js';
import { mixBatch } from './mixture.js';
import { mergeNeighborLists } from './neighbor-lists.js';
import { decodeNeighborRecord, type NeighborRecord } from './neighbor-record.js';
import {
  firstDifference,
  readPartialHeader,
  readPartialRecords,
  type PartialHeader,
  type PartialRecord,
} from './partial-file.js';

/** The loss of all shards. */
export interface ReducedEvaluation extends Evaluation {
  /** Time that all shards took together. */
  readonly seconds: number;
}

/** A partial result and where it is. */
interface Part {
  readonly path: string;
  readonly header: PartialHeader;
}

/**
 * Puts the partial results of all shards of an evaluation together. The terms are added in the order of one process, so
 * that the loss is the same number, not a close one. Where shards of an index were searched apart, the nearest of all are
 * merged first.
 *
 * Memory: two units of neighbours, whatever the number of shards.
 *
 * @param paths - the files of {@link evaluateShard}, in any order
 * @throws {@link KnnError} `PARTIAL_MISMATCH` when they are of different evaluations, `PARTIAL_SHARDS` when one is
 * missing or there twice, `PARTIAL_FORMAT`, `PARTIAL_DAMAGED`, `NOTHING_TO_SCORE`
 */
export function reduceEvaluation(paths: readonly string[]): ReducedEvaluation {
  const loss = new LossSum();
  let milliseconds = 0;
  for (const shard of completeSet(paths)) {
    for (const unit of unitsOf(shard)) {
      milliseconds += unit.milliseconds;
      for (const score of unit.scores) loss.add(score);
    }
  }
  const result = loss.result();
  if (result.tokenCount === 0) throw nothingToScore();
  return { ...result, seconds: milliseconds / 1000 };
}

/** What one unit adds to the loss. */
interface UnitScores {
  readonly scores: Float64Array;
  readonly milliseconds: number;
}

/** The units of one piece of the text, from all shards of the index. */
function* unitsOf(parts: readonly Part[]): Generator<UnitScores> {
  const [{ path, header }] = parts;
  if (header.content === 'scores') {
    for (const { payload, milliseconds } of readPartialRecords(path)) {
      yield { scores: float64s(payload), milliseconds };
    }
    return;
  }
  const readers = parts.map((part) => readPartialRecords(part.path));
  try {
    for (let unit = header.begin; unit < header.end; unit++) yield mergeUnit(readers, parts);
    // Each notices what follows its last record.
    for (const reader of readers) reader.next();
  } finally {
    for (const reader of readers) reader.return();
  }
}

function mergeUnit(readers: readonly Generator<PartialRecord, void>[], parts: readonly Part[]): UnitScores {
  let milliseconds = 0;
  let merged: NeighborRecord | undefined;
  for (const [i, reader] of readers.entries()) {
    const next = reader.next();
    if (next.done === true) throw new RangeError('a partial result ends before its header says');
    const { payload, milliseconds: spent } = next.value;
    milliseconds += spent;
    const record = decodeNeighborRecord(payload);
    if (merged === undefined) merged = record;
    else {
      requireSameTokens(merged, record, parts[i].path);
      merged = { ...merged, lists: mergeNeighborLists(merged.lists, record.lists) };
    }
  }
  const { tokens, lmLogProbs, lists: neighbors } = merged as NeighborRecord;
  const { lambda, temperature } = parts[0].header.identity as { lambda: number; temperature: number };
  const { logProbs } = mixBatch({ tokens, lmLogProbs, neighbors }, { lambda, temperature });
  return { scores: logProbs, milliseconds };
}

function requireSameTokens(a: NeighborRecord, b: NeighborRecord, path: string): void {
  const isSame = a.lists.k === b.lists.k && Buffer.compare(bytesOf(a.tokens), bytesOf(b.tokens)) === 0;
  if (isSame) return;
  throw new KnnError('PARTIAL_MISMATCH', `${path} holds other tokens than the other shards of the index`, {
    hint: 'Evaluate all shards with the same text and settings.',
    details: { path },
  });
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The pieces of the text in order, each with all shards of the index, after a check that all are there. */
function completeSet(paths: readonly string[]): Part[][] {
  if (paths.length === 0) {
    throw new KnnError('PARTIAL_SHARDS', 'there is no partial result to put together', {
      hint: 'Name the files that eval_knn_lm --partial-result wrote.',
    });
  }
  const parts = paths.map((path) => ({ path, header: readPartialHeader(path) }));
  for (const part of parts) requireSameEvaluation(part, parts[0]);
  const { numShards, indexShards } = parts[0].header;
  const places = new Map<string, Part>();
  for (const part of parts) {
    const name = placeName(part.header);
    if (places.has(name)) {
      throw new KnnError('PARTIAL_SHARDS', `${name} is there twice: ${part.path}`, {
        hint: 'Name each shard once.',
        details: { path: part.path },
      });
    }
    places.set(name, part);
  }
  requireNumber(places.size, parts[0].header, (header) => places.has(placeName(header)));
  const ordered = Array.from({ length: numShards }, (_, shardId) =>
    Array.from(
      { length: indexShards },
      (_, indexShard) => places.get(placeName({ numShards, indexShards, shardId, indexShard })) as Part,
    ),
  );
  requireOneText(ordered.map(([part]) => part));
  for (const [first, ...others] of ordered) for (const part of others) requireSameUnits(part, first);
  return ordered;
}

type Place = Pick<PartialHeader, 'numShards' | 'indexShards' | 'shardId' | 'indexShard'>;

function placeName({ indexShards, shardId, indexShard }: Place): string {
  return indexShards === 1 ? `shard ${shardId}` : `shard ${shardId} with shard ${indexShard} of the index`;
}

function requireNumber(
  found: number,
  { numShards, indexShards }: Place,
  has: (place: Place) => boolean,
): void {
  const expected = numShards * indexShards;
  if (found === expected) return;
  const missing: string[] = [];
  for (let at = 0; at < expected && missing.length < 10; at++) {
    const place = {
      numShards,
      indexShards,
      shardId: Math.floor(at / indexShards),
      indexShard: at % indexShards,
    };
    if (!has(place)) missing.push(placeName(place));
  }
  const more = expected - found > missing.length ? ', ...' : '';
  throw new KnnError(
    'PARTIAL_SHARDS',
    `${expected - found} of ${expected} are missing: ${missing.join(', ')}${more}`,
    {
      hint: 'Evaluate the missing shards, or name their files too.',
      details: { found, expected },
    },
  );
}

function requireSameUnits(part: Part, first: Part): void {
  const { begin, end } = part.header;
  if (begin === first.header.begin && end === first.header.end) return;
  throw new KnnError('PARTIAL_MISMATCH', `${part.path} and ${first.path} hold different parts of the text`, {
    hint: 'Evaluate both again.',
    details: { path: part.path },
  });
}

function requireSameEvaluation(part: Part, first: Part): void {
  const settings = ({ numShards, content, indexShards }: PartialHeader) => ({
    numShards,
    content,
    indexShards,
  });
  const difference =
    firstDifference(first.header.identity, part.header.identity) ??
    firstDifference(settings(first.header), settings(part.header));
  if (difference === undefined) return;
  throw new KnnError(
    'PARTIAL_MISMATCH',
    `${first.path} and ${part.path} are of different evaluations: ${difference}`,
    { hint: 'Put together the shards of one evaluation only.', details: { path: part.path } },
  );
}

/** The shards' units follow each other without a gap. */
function requireOneText(parts: readonly Part[]): void {
  let next = 0;
  for (const { path, header } of parts) {
    if (header.begin !== next) {
      throw new KnnError('PARTIAL_MISMATCH', `${path} begins with unit ${header.begin}, expected ${next}`, {
        hint: 'The shards were cut from different texts; evaluate them again.',
        details: { path, found: header.begin, expected: next },
      });
    }
    next = header.end;
  }
}

/** A view, or a copy where the bytes do not lie on a multiple of eight. */
function float64s(bytes: Uint8Array): Float64Array {
  if (bytes.byteLength % 8 !== 0) {
    throw new KnnError('PARTIAL_DAMAGED', `a record has ${bytes.byteLength} bytes, no multiple of 8`, {
      hint: 'Evaluate the shard again.',
    });
  }
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
  return new Float64Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 8);
}
