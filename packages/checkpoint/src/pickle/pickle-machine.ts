import type { CheckpointError } from '../errors.js';
import { construct } from './construct.js';
import { pickleLimits } from './limits.js';
import { describeValue, integerFromText, textFromBytes } from './literals.js';
import type { PickleSource } from './pickle-source.js';
import { PyGlobal, type PyValue } from './values.js';
import { ValueStack } from './value-stack.js';

/** What the opcodes work on: the bytes, the stack and the memo. */
export class PickleMachine {
  /** Values made so far and not yet used. */
  readonly stack: ValueStack;
  readonly #source: PickleSource;
  readonly #memo = new Map<number, PyValue>();
  #objects = 0;

  /** @param source - the bytes */
  constructor(source: PickleSource) {
    this.#source = source;
    this.stack = new ValueStack(source.fail);
  }

  /** Makes an error at the current byte. */
  fail(code: string, problem: string, byteOffset?: number): CheckpointError {
    return this.#source.fail(code, problem, byteOffset);
  }

  /** Pushes a new container or record, which count. */
  create(value: PyValue): void {
    this.#charge(1);
    this.stack.push(value);
  }

  #charge(objects: number): void {
    this.#objects += objects;
    if (this.#objects > pickleLimits.objects) {
      throw this.fail('PICKLE_LIMIT', `more than ${pickleLimits.objects} objects`);
    }
  }

  /** Remembers the top value. */
  memoize(index: number): void {
    if (this.#memo.size >= pickleLimits.memoEntries) {
      throw this.fail('PICKLE_LIMIT', `more than ${pickleLimits.memoEntries} memo entries`);
    }
    this.#memo.set(index, this.stack.top());
  }

  /** MEMOIZE numbers its entries by itself. */
  memoizeNext(): void {
    this.memoize(this.#memo.size);
  }

  /** Pushes a remembered value. */
  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.fail('PICKLE_MEMO', `memo entry ${index} does not exist`);
    this.stack.push(value);
  }

  /** A memo index of protocol 0. */
  memoIndex(line: Uint8Array): number {
    const index = integerFromText(line, this.#source.fail);
    // The indexes 0 and 1 of "00" and "01" read as booleans; no pickler writes them so.
    if (typeof index !== 'number') throw this.fail('PICKLE_MEMO', 'a memo index is not a number');
    return index;
  }

  /** Pushes a name. */
  global(module: PyValue, name: PyValue): void {
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw this.fail('PICKLE_TYPE', `a name is expected, not ${describeValue(name)}`);
    }
    this.create(new PyGlobal(module, name));
  }

  /** Pushes what a call gives. */
  construct(callee: PyValue, args: PyValue): void {
    this.create(construct(callee, args, (objects) => this.#charge(objects), this.#source.fail));
  }

  /** Reads and pushes UTF-8. */
  text(byteCount: number): void {
    this.stack.push(textFromBytes(this.#source.bytes(byteCount), this.#source.fail));
  }

  /** Reads and pushes bytes. */
  binary(byteCount: number): void {
    this.create(this.#source.bytes(byteCount).slice());
  }
}
