/** Something wrong with a datastore. */
export interface DatastoreProblem {
  /** What kind: also the set of things that are checked. */
  readonly kind:
    | 'unfinished'
    | 'missing'
    | 'part'
    | 'size'
    | 'checksum'
    | 'key-not-finite'
    | 'value-out-of-range'
    | 'weights';
  /** The file. */
  readonly path: string;
  /** What is wrong, for people. */
  readonly message: string;
  /** The first row concerned, where there is one. */
  readonly row?: number;
}

/** Problems listed in a report; the rest are counted. A wrong flag makes every row wrong. */
export const maxProblems = 100;

/** How many problems there are of each kind; kinds without any are left out. */
export type ProblemCounts = Readonly<Partial<Record<DatastoreProblem['kind'], number>>>;

/** Collects problems up to a limit, and counts them beyond it. */
export class ProblemList {
  /** The first ones. */
  readonly first: DatastoreProblem[] = [];
  readonly #counts: Partial<Record<DatastoreProblem['kind'], number>> = {};

  /** All of each kind. */
  get counts(): ProblemCounts {
    return this.#counts;
  }

  /** All. */
  get count(): number {
    return Object.values(this.#counts).reduce((sum, count) => sum + count, 0);
  }

  /** Adds one. */
  add(problem: DatastoreProblem): void {
    this.addAll([problem], { [problem.kind]: 1 });
  }

  /** Adds those that another list has. */
  addAll(first: readonly DatastoreProblem[], counts: ProblemCounts): void {
    this.first.push(...first.slice(0, maxProblems - this.first.length));
    for (const [kind, count] of Object.entries(counts) as [DatastoreProblem['kind'], number][])
      this.#counts[kind] = (this.#counts[kind] ?? 0) + count;
  }
}
