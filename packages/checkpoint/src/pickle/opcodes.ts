// Opcodes as https://github.com/python/cpython/blob/main/Lib/pickletools.py documents them.
import { addItems, append, build, setItems } from './construct.js';
import {
  floatFromText,
  integerFromBytes,
  integerFromText,
  stringFromRepr,
  stringFromUnicodeEscape,
  textFromBytes,
  textFromPython2,
} from './literals.js';
import type { PickleMachine } from './pickle-machine.js';
import type { PickleSource } from './pickle-source.js';
import { PyGlobal, PyReference, type PyValue } from './values.js';
import type { ValueStack } from './value-stack.js';

/** What an opcode does. */
export type Step = (machine: PickleMachine, source: PickleSource, stack: ValueStack) => void;

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
  [
    '\x8b',
    (_m, source, stack) => stack.push(integerFromBytes(source.bytes(source.unsigned(4)), source.fail)),
  ],
  [
    'G',
    (_m, source, stack) => {
      const bytes = source.bytes(8);
      stack.push(new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0)); // big-endian, unlike the rest
    },
  ],
  ['S', (_m, source, stack) => stack.push(stringFromRepr(source.line(), source.fail))],
  ['V', (_m, source, stack) => stack.push(stringFromUnicodeEscape(source.line()))],
  ['T', (_m, source, stack) => stack.push(textFromPython2(source.bytes(source.unsigned(4))))],
  ['U', (_m, source, stack) => stack.push(textFromPython2(source.bytes(source.byte())))],
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

/** All opcodes by their byte. */
export const opcodes: ReadonlyMap<number, Step> = new Map(
  [...constants, ...containers, ...machinery, ...objects].map(([character, step]) => [
    character.charCodeAt(0),
    step,
  ]),
);
