import { formatTable } from '../terminal/table.js';

/** One thing that was checked, for programs. */
export interface Check {
  /** What. */
  readonly check: string;
  /** What came of it. */
  readonly result: 'ok' | 'failed' | 'warning' | 'skipped';
  /** A word about it. */
  readonly about: string;
}

const shownResults = { ok: 'ok', failed: 'WRONG', warning: 'look', skipped: '-' } as const;

/** What was checked, what came of it, and a word about it. */
export class CheckTable {
  readonly #checks: Check[] = [];

  /** The checks so far. */
  get checks(): readonly Check[] {
    return this.#checks;
  }

  /** Whether a check found something wrong. */
  get failed(): boolean {
    return this.#checks.some(({ result }) => result === 'failed');
  }

  /** A check with its result. */
  add(what: string, ok: boolean, about: string): void {
    this.#checks.push({ check: what, result: ok ? 'ok' : 'failed', about });
  }

  /** Something that is not wrong by itself. */
  warn(what: string, about: string): void {
    this.#checks.push({ check: what, result: 'warning', about });
  }

  /** Something that could not be checked, or was not asked for. */
  skip(what: string, about: string): void {
    this.#checks.push({ check: what, result: 'skipped', about });
  }

  /** Compares a fingerprint of the manifest with what it should be; both are shown when they differ. */
  compare(what: string, recorded: string | undefined, found: string, about?: string): void {
    if (recorded === undefined) this.skip(what, 'the manifest names none');
    else if (recorded === found) this.add(what, true, `${short(found)}, ${about ?? 'as in the manifest'}`);
    else this.add(what, false, `the manifest names ${short(recorded)}, this is ${short(found)}`);
  }

  /** The table, with a line end. */
  toString(): string {
    const rows = this.#checks.map(({ check, result, about }) => [check, shownResults[result], about]);
    return `${formatTable([{ head: 'checked' }, { head: 'result' }, { head: '' }], rows)}\n`;
  }
}

/** As many digits as tell two fingerprints apart. */
function short(fingerprint: string): string {
  return fingerprint.slice(0, 16);
}
