/** How far a running task is, from the line of progress that its command prints. */
export interface LineProgress {
  /** Done, as a share of the whole. */
  readonly share: number;
  /** Seconds left at the rate of the line; `undefined` where it has none. */
  readonly secondsLeft: number | undefined;
}

/**
 * Reads a line of progress: `keys: 12,345 of 367,366 tokens (3 %), 5,432 tokens/s, 65 s left`.
 *
 * @param line - the line
 * @returns `undefined` for any other line
 */
export function parseProgress(line: string): LineProgress | undefined {
  const match = /: ([\d,.]+) of ([\d,.]+) \S+/.exec(line);
  if (match === null) return undefined;
  const [done, total] = [match[1], match[2]].map(plainNumber);
  if (!(total > 0)) return undefined;
  const rate = /, ([\d,.]+) \S+\/s/.exec(line)?.[1];
  const perSecond = rate === undefined ? 0 : plainNumber(rate);
  return { share: done / total, secondsLeft: perSecond > 0 ? (total - done) / perSecond : undefined };
}

function plainNumber(text: string): number {
  return Number(text.replaceAll(',', ''));
}

/** What is known of the tasks of a stage for {@link secondsLeft}. */
export interface StagePace {
  /** Seconds that finished tasks took. */
  readonly finished: readonly number[];
  /** Running tasks: seconds since their start, and the last line of progress. */
  readonly running: readonly { readonly seconds: number; readonly line: string | undefined }[];
  /** Tasks that have not begun. */
  readonly waiting: number;
}

/**
 * Estimates the seconds until a stage is finished, if as many tasks go on running as do now. Finished tasks tell how
 * long one takes, and else the running ones by their progress.
 *
 * @param pace - the stage's tasks
 * @returns `undefined` where nothing runs, or nothing is known
 */
export function secondsLeft(pace: StagePace): number | undefined {
  const { finished, running, waiting } = pace;
  if (running.length === 0) return undefined;
  const known = running.map(({ seconds, line }) => {
    const progress = line === undefined ? undefined : parseProgress(line);
    return { seconds, left: progress?.secondsLeft };
  });
  const whole = known.flatMap(({ seconds, left }) => (left === undefined ? [] : [seconds + left]));
  const each = mean(finished.length > 0 ? finished : whole);
  if (each === undefined) return undefined;
  const lefts = known.map(({ seconds, left }) => left ?? Math.max(0, each - seconds));
  return Math.max(...lefts) + Math.ceil(waiting / running.length) * each;
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}
