import { join } from 'node:path';
import { quoteWord } from './shell-words.js';

/** A path in the folder that the stages write to. */
export interface WorkPath {
  /** Path in the folder; with a shard, what comes before its number. */
  readonly work: string;
  /** The task's own file or folder, or that of every task: how many there are. Neither where tasks share it. */
  readonly shard?: 'own' | number | undefined;
  /** What follows the shard's number. */
  readonly suffix?: string | undefined;
}

/** The word that stands for the number of the task. */
export const shardId = Symbol.for('knn-lm.shard-id');

/** A number made from that of the task, where an array counts two things at once. */
export type ShardPart = ShardQuotient | ShardRemainder;

/** The number of the task divided by a whole number, rounded down. */
export interface ShardQuotient {
  /** The divisor. */
  readonly quotient: number;
}

/** What is left when the number of the task is divided by a whole number. */
export interface ShardRemainder {
  /** The divisor. */
  readonly remainder: number;
}

/** A word of a command line. */
export type CommandWord = string | WorkPath | ShardPart | typeof shardId;

/**
 * A word as it stands in a script: `"$work/shards/$shard"`, `"$work"/shards/{0..3}`.
 *
 * @param word - the word
 */
export function shellWord(word: CommandWord): string {
  if (word === shardId) return '"$shard"';
  if (typeof word === 'string') return quoteWord(word);
  if ('quotient' in word) return `"$((shard / ${word.quotient}))"`;
  if ('remainder' in word) return `"$((shard % ${word.remainder}))"`;
  const { work, shard, suffix = '' } = word;
  if (shard === undefined) return `"$work/${work}${suffix}"`;
  if (shard === 'own') return `"$work/${work}$shard${suffix}"`;
  return `"$work"/${work}{0..${shard - 1}}${suffix}`;
}

/**
 * The paths that a word stands for.
 *
 * @param path - a path in the work folder
 * @param place - that folder, and the task's number
 */
export function expandPath(
  path: WorkPath,
  place: { readonly work: string; readonly shard: number },
): string[] {
  const { work, shard, suffix = '' } = path;
  if (shard === undefined) return [join(place.work, work + suffix)];
  if (shard === 'own') return [join(place.work, `${work}${place.shard}${suffix}`)];
  return Array.from({ length: shard }, (_, id) => join(place.work, `${work}${id}${suffix}`));
}
