/** Something wrong with a datastore. */
export interface DatastoreProblem {
  /** What kind: also the set of things that are checked. */
  readonly kind: 'unfinished' | 'missing' | 'size' | 'checksum' | 'key-not-finite' | 'value-out-of-range';
  /** The file. */
  readonly path: string;
  /** What is wrong, for people. */
  readonly message: string;
  /** The first row concerned, where there is one. */
  readonly row?: number;
}

/** Problems listed in a report; the rest are counted. A wrong flag makes every row wrong. */
export const maxProblems = 100;

/** Collects problems up to a limit, and counts them beyond it. */
export class ProblemList {
  /** The first ones. */
  readonly first: DatastoreProblem[] = [];
  /** All. */
  count = 0;

  /** Adds one. */
  add(problem: DatastoreProblem): void {
    this.count++;
    if (this.first.length < maxProblems) this.first.push(problem);
  }
}
