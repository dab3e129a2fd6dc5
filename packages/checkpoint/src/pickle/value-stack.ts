import { pickleLimits } from './limits.js';
import type { PickleFailure } from './pickle-error.js';
import type { PyValue } from './values.js';

/** The stack of the pickle machine, with its marks. */
export class ValueStack {
  readonly #fail: PickleFailure;
  readonly #values: PyValue[] = [];
  readonly #marks: number[] = [];

  /** @param fail - makes the errors */
  constructor(fail: PickleFailure) {
    this.#fail = fail;
  }

  /** Puts a value on top. */
  push(value: PyValue): void {
    if (this.#values.length >= pickleLimits.stackDepth) {
      throw this.#fail('PICKLE_LIMIT', `more than ${pickleLimits.stackDepth} values on the stack`);
    }
    this.#values.push(value);
  }

  /** Takes the top value, which must be above the last mark. */
  pop(): PyValue {
    this.#needValue();
    return this.#values.pop()!;
  }

  /** The top value. */
  top(): PyValue {
    this.#needValue();
    return this.#values[this.#values.length - 1];
  }

  /** Sets a mark on top. */
  mark(): void {
    if (this.#marks.length >= pickleLimits.markDepth) {
      throw this.#fail('PICKLE_LIMIT', `more than ${pickleLimits.markDepth} batches inside each other`);
    }
    this.#marks.push(this.#values.length);
  }

  /** Takes the last mark and everything above it. */
  popToMark(): PyValue[] {
    const start = this.#marks.pop();
    if (start === undefined) throw this.#fail('PICKLE_STACK', 'there is no mark on the stack');
    return this.#values.splice(start);
  }

  /** Whether the last mark is on top. */
  get markIsOnTop(): boolean {
    return this.#marks.length > 0 && this.#marks[this.#marks.length - 1] === this.#values.length;
  }

  #needValue(): void {
    const floor = this.#marks.length === 0 ? 0 : this.#marks[this.#marks.length - 1];
    if (this.#values.length <= floor) throw this.#fail('PICKLE_STACK', 'the stack is empty');
  }
}
