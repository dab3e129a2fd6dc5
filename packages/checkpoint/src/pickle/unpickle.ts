import type { RandomAccessFile } from '@knn-lm/common';
import { opcodes } from './opcodes.js';
import { PickleMachine } from './pickle-machine.js';
import { PickleSource } from './pickle-source.js';
import type { PyValue } from './values.js';

const STOP = 0x2e;

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
  const source = new PickleSource(file, start, end);
  const machine = new PickleMachine(source);
  for (;;) {
    const at = source.offset;
    const opcode = source.byte();
    if (opcode === STOP) return { value: machine.stack.pop(), end: source.offset };
    const step = opcodes.get(opcode);
    if (step === undefined) {
      throw machine.fail('PICKLE_OPCODE', `unknown opcode 0x${opcode.toString(16)}`, at);
    }
    step(machine, source, machine.stack);
  }
}
