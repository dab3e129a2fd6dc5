import type { RandomAccessFile } from '@knn-lm/common';
import type { CheckpointError } from '../errors.js';
import { addItems, append, build, construct, setItems } from './construct.js';
import { pickleLimits } from './limits.js';
import {
  describeValue,
  floatFromText,
  integerFromBytes,
  integerFromText,
  stringFromRepr,
  stringFromUnicodeEscape,
  textFromBytes,
} from './literals.js';
import { PickleSource } from './pickle-source.js';
import { PyGlobal, PyReference, type PyValue } from './values.js';
import { ValueStack } from './value-stack.js';

/** A pickle's value and where it ends. */
export interface Unpickled {
  /** What it holds. */
  readonly value: PyValue;
  /** First byte after it. */
  readonly end: number;
}

/**
 * Reads one pickle (protocols 0 to 5, as https://github.com/python/cpython/blob/main/Lib/pickletools.py documents them)
 * without executing anything: names stay names, calls become records.
 *
 * @param file - the file
 * @param start - first byte of the pickle
 * @param end - byte after the last one that may belong to it; the end of the file when left out
 * @returns the value, and where the pickle ended
 * @throws {@link CheckpointError} `PICKLE_…` with the byte, when it is damaged or exceeds {@link pickleLimits}
 */
export function unpickle(file: RandomAccessFile, start: number, end = file.size): Unpickled {
  const machine = new PickleMachine(new PickleSource(file, start, end));
  return machine.run();
}

class PickleMachine {
  readonly #source: PickleSource;
  readonly #stack: ValueStack;
  readonly #memo = new Map<number, PyValue>();
  #objects = 0;

  constructor(source: PickleSource) {
    this.#source = source;
    this.#stack = new ValueStack(source.fail);
  }

  run(): Unpickled {
    const source = this.#source;
    for (;;) {
      const start = source.offset;
      const opcode = source.byte();
      if (opcode === 0x2e /* STOP */) return { value: this.#stack.pop(), end: source.offset };
      const step = opcodes.get(opcode);
      if (step === undefined) throw this.fail('PICKLE_OPCODE', `unknown opcode 0x${opcode.toString(16)}`, start);
      step(this, source, this.#stack);
    }
  }

  /** Makes an error at the current byte. */
  fail(code: string, problem: string, byteOffset?: number): CheckpointError {
    return this.#source.fail(code, problem, byteOffset);
  }

  /** Pushes a new container or record, which count. */
  create(value: PyValue): void {
    this.#charge(1);
    this.#stack.push(value);
  }

  #charge(objects: number): void {
    this.#objects += objects;
    if (this.#objects > pickleLimits.objects) {
      throw this.fail('PICKLE_LIMIT', `more than ${pickleLimits.objects} objects`);
    }
  }

  memoize(index: number): void {
    if (this.#memo.size >= pickleLimits.memoEntries) {
      throw this.fail('PICKLE_LIMIT', `more than ${pickleLimits.memoEntries} memo entries`);
    }
    this.#memo.set(index, this.#stack.top());
  }

  /** MEMOIZE numbers its entries by itself. */
  memoizeNext(): void {
    this.memoize(this.#memo.size);
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.fail('PICKLE_MEMO', `memo entry ${index} does not exist`);
    this.#stack.push(value);
  }

  memoIndex(line: Uint8Array): number {
    const index = integerFromText(line, this.#source.fail);
    // The indexes 0 and 1 of "00" and "01" read as booleans; no pickler writes them so.
    if (typeof index !== 'number') throw this.fail('PICKLE_MEMO', 'a memo index is not a number');
    return index;
  }

  global(module: PyValue, name: PyValue): void {
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw this.fail('PICKLE_TYPE', `a name is expected, not ${describeValue(name)}`);
    }
    this.create(new PyGlobal(module, name));
  }

  construct(callee: PyValue, args: PyValue): void {
    this.create(construct(callee, args, (objects) => this.#charge(objects), this.#source.fail));
  }

  text(byteCount: number): void {
    this.#stack.push(textFromBytes(this.#source.bytes(byteCount), this.#source.fail));
  }

  binary(byteCount: number): void {
    this.create(this.#source.bytes(byteCount).slice());
  }
}

type Step = (machine: PickleMachine, source: PickleSource, stack: ValueStack) => void;

/** Pops the last `count` values, in the order in which they were pushed. */
function popTuple(stack: ValueStack, count: number): PyValue[] {
  const values: PyValue[] = [];
  for (let i = 0; i < count; i++) values.unshift(stack.pop());
  return values;
}

/** Opcodes that are refused, each with what it would do. */
function refuse(what: string): Step {
  return (machine) => {
    throw machine.fail('PICKLE_OPCODE', `${what} is not supported`);
  };
}

/** A call with keyword arguments, which play no part in a checkpoint. */
const newObjectWithKeywords: Step = (machine, _source, stack) => {
  const [callee, args] = popTuple(stack, 3);
  machine.construct(callee, args);
};

const textLine = (source: PickleSource): string => textFromBytes(source.line(), source.fail);

const constants: [string, Step][] = [
  ['N', (_m, _s, stack) => stack.push(null)],
  ['\x88', (_m, _s, stack) => stack.push(true)],
  ['\x89', (_m, _s, stack) => stack.push(false)],
  ['I', (_m, source, stack) => stack.push(integerFromText(source.line(), source.fail))],
  ['L', (_m, source, stack) => stack.push(integerFromText(source.line(), source.fail))],
  ['F', (_m, source, stack) => stack.push(floatFromText(source.line(), source.fail))],
  ['J', (_m, source, stack) => stack.push(source.unsigned(4) | 0)],
  ['K', (_m, source, stack) => stack.push(source.byte())],
  ['M', (_m, source, stack) => stack.push(source.unsigned(2))],
  ['\x8a', (_m, source, stack) => stack.push(integerFromBytes(source.bytes(source.byte()), source.fail))],
  ['\x8b', (_m, source, stack) => stack.push(integerFromBytes(source.bytes(source.unsigned(4)), source.fail))],
  [
    'G',
    (_m, source, stack) => {
      const bytes = source.bytes(8);
      stack.push(new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0)); // big-endian, unlike the rest
    },
  ],
  ['S', (_m, source, stack) => stack.push(stringFromRepr(source.line(), source.fail))],
  ['V', (_m, source, stack) => stack.push(stringFromUnicodeEscape(source.line()))],
  ['T', (machine, source) => machine.text(source.unsigned(4))],
  ['U', (machine, source) => machine.text(source.byte())],
  ['X', (machine, source) => machine.text(source.unsigned(4))],
  ['\x8c', (machine, source) => machine.text(source.byte())],
  ['\x8d', (machine, source) => machine.text(source.unsigned(8))],
  ['B', (machine, source) => machine.binary(source.unsigned(4))],
  ['C', (machine, source) => machine.binary(source.byte())],
  ['\x8e', (machine, source) => machine.binary(source.unsigned(8))],
  ['\x96', (machine, source) => machine.binary(source.unsigned(8))],
];

const containers: [string, Step][] = [
  [']', (machine) => machine.create([])],
  [')', (machine) => machine.create([])],
  ['}', (machine) => machine.create(new Map())],
  ['\x8f', (machine) => machine.create(new Set())],
  ['l', (machine, _s, stack) => machine.create(stack.popToMark())],
  ['t', (machine, _s, stack) => machine.create(stack.popToMark())],
  ['\x85', (machine, _s, stack) => machine.create(popTuple(stack, 1))],
  ['\x86', (machine, _s, stack) => machine.create(popTuple(stack, 2))],
  ['\x87', (machine, _s, stack) => machine.create(popTuple(stack, 3))],
  ['\x91', (machine, _s, stack) => machine.create(new Set(stack.popToMark()))],
  [
    'd',
    (machine, source, stack) => {
      const items = stack.popToMark();
      machine.create(new Map());
      setItems(stack.top(), items, source.fail);
    },
  ],
  [
    'a',
    (_m, source, stack) => {
      const item = stack.pop();
      append(stack.top(), [item], source.fail);
    },
  ],
  [
    'e',
    (_m, source, stack) => {
      const items = stack.popToMark();
      append(stack.top(), items, source.fail);
    },
  ],
  [
    's',
    (_m, source, stack) => {
      const items = popTuple(stack, 2);
      setItems(stack.top(), items, source.fail);
    },
  ],
  [
    'u',
    (_m, source, stack) => {
      const items = stack.popToMark();
      setItems(stack.top(), items, source.fail);
    },
  ],
  [
    '\x90',
    (_m, source, stack) => {
      const items = stack.popToMark();
      addItems(stack.top(), items, source.fail);
    },
  ],
];

const machinery: [string, Step][] = [
  ['(', (_m, _s, stack) => stack.mark()],
  // POP takes a mark off as well when that is on top.
  ['0', (_m, _s, stack) => void (stack.markIsOnTop ? stack.popToMark() : stack.pop())],
  ['1', (_m, _s, stack) => void stack.popToMark()],
  ['2', (_m, _s, stack) => stack.push(stack.top())],
  ['p', (machine, source) => machine.memoize(machine.memoIndex(source.line()))],
  ['q', (machine, source) => machine.memoize(source.byte())],
  ['r', (machine, source) => machine.memoize(source.unsigned(4))],
  ['\x94', (machine) => machine.memoizeNext()],
  ['g', (machine, source) => machine.recall(machine.memoIndex(source.line()))],
  ['h', (machine, source) => machine.recall(source.byte())],
  ['j', (machine, source) => machine.recall(source.unsigned(4))],
  [
    '\x80',
    (machine, source) => {
      const protocol = source.byte();
      if (protocol > 5) throw machine.fail('PICKLE_PROTOCOL', `protocol ${protocol}; 0 to 5 are known`);
    },
  ],
  ['\x95', (_m, source) => void source.unsigned(8)], // FRAME: a hint for readers that read ahead
  ['\x97', refuse('an out-of-band buffer')],
  ['\x98', refuse('an out-of-band buffer')],
  ['\x82', refuse('an extension code')],
  ['\x83', refuse('an extension code')],
  ['\x84', refuse('an extension code')],
];

const objects: [string, Step][] = [
  [
    'c',
    (machine, source) => {
      const module = textLine(source);
      machine.global(module, textLine(source));
    },
  ],
  [
    '\x93',
    (machine, _s, stack) => {
      const [module, name] = popTuple(stack, 2);
      machine.global(module, name);
    },
  ],
  [
    'R',
    (machine, _s, stack) => {
      const [callee, args] = popTuple(stack, 2);
      machine.construct(callee, args);
    },
  ],
  [
    '\x81',
    (machine, _s, stack) => {
      const [callee, args] = popTuple(stack, 2);
      machine.construct(callee, args);
    },
  ],
  ['\x92', newObjectWithKeywords],
  [
    'o',
    (machine, _s, stack) => {
      const [callee, ...args] = stack.popToMark();
      if (callee === undefined) throw machine.fail('PICKLE_STACK', 'an object has no class');
      machine.construct(callee, args);
    },
  ],
  [
    'i',
    (machine, source, stack) => {
      const module = textLine(source);
      const name = textLine(source);
      machine.construct(new PyGlobal(module, name), stack.popToMark());
    },
  ],
  [
    'b',
    (_m, source, stack) => {
      const state = stack.pop();
      build(stack.top(), state, source.fail);
    },
  ],
  ['P', (machine, source) => machine.create(new PyReference(textLine(source)))],
  ['Q', (machine, _s, stack) => machine.create(new PyReference(stack.pop()))],
];

const opcodes = new Map(
  [...constants, ...containers, ...machinery, ...objects].map(([character, step]) => [
    character.charCodeAt(0),
    step,
  ]),
);
