import { formatTable } from '../terminal/table.js';

/** What was checked, what came of it, and a word about it, for people. */
export class CheckTable {
  readonly #rows: [what: string, result: string, about: string][] = [];
  #failed = false;

  /** Whether a check found something wrong. */
  get failed(): boolean {
    return this.#failed;
  }

  /** A check with its result. */
  add(what: string, ok: boolean, about: string): void {
    this.#failed ||= !ok;
    this.#rows.push([what, ok ? 'ok' : 'WRONG', about]);
  }

  /** Something that is not wrong by itself. */
  warn(what: string, about: string): void {
    this.#rows.push([what, 'look', about]);
  }

  /** Something that could not be checked, or was not asked for. */
  skip(what: string, about: string): void {
    this.#rows.push([what, '-', about]);
  }

  /** Compares a fingerprint of the manifest with what it should be; both are shown when they differ. */
  compare(what: string, recorded: string | undefined, found: string, about?: string): void {
    if (recorded === undefined) this.skip(what, 'the manifest names none');
    else if (recorded === found) this.add(what, true, `${short(found)}, ${about ?? 'as in the manifest'}`);
    else this.add(what, false, `the manifest names ${short(recorded)}, this is ${short(found)}`);
  }

  /** The table, with a line end. */
  toString(): string {
    return `${formatTable([{ head: 'checked' }, { head: 'result' }, { head: '' }], this.#rows)}\n`;
  }
}

/** As many digits as tell two fingerprints apart. */
function short(fingerprint: string): string {
  return fingerprint.slice(0, 16);
}
