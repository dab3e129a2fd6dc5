import { readFileSync } from 'node:fs';
import { BinarizerError } from './errors.js';
import {
  compileModule,
  instantiate,
  sharedMemory,
  type WasmGlobal,
  type WasmMemory,
  type WasmModule,
} from './web-assembly.js';

/** What `assembly/index.ts` exports; addresses are bytes in the memory, 0 is none. */
interface KernelExports {
  readonly makeTable: (capacity: number) => number;
  readonly openThread: () => number;
  readonly allocate: (byteLength: number) => number;
  readonly beginText: () => void;
  readonly number: (begin: number, end: number, isLast: boolean, isCounting: boolean) => number;
  readonly findWord: (word: number, length: number) => number;
  readonly addWords: (bytes: number, offsets: number, words: number) => number;
  readonly wordCount: () => number;
  readonly addCounts: (sums: number, counts: number, words: number) => void;
  readonly sortWords: (counts: number, words: number) => number;
  readonly keepWords: (
    order: number,
    counts: number,
    words: number,
    mapping: number,
    first: number,
    most: number,
    threshold: number,
    keptCounts: number,
  ) => number;
  readonly keptBytes: { readonly value: bigint };
  readonly gatherWords: (ids: number, words: number, bytes: number, offsets: number) => void;
  readonly ids: WasmGlobal;
  readonly count: WasmGlobal;
  readonly sizes: WasmGlobal;
  readonly sentences: WasmGlobal;
  readonly openTokens: WasmGlobal;
  readonly replaced: WasmGlobal;
  readonly invalid: WasmGlobal;
  readonly isFull: WasmGlobal;
  readonly counts: WasmGlobal;
  readonly countsLength: WasmGlobal;
}

/** A table of words and its code, as another thread gets them. */
export interface SharedWords {
  /** Tells tables of one process apart. */
  readonly key: number;
  readonly module: WasmModule;
  readonly memory: WasmMemory;
}

// Tests run from the sources; the kernel is beside the built files.
const kernelFile = new URL(
  import.meta.url.endsWith('.ts') ? '../dist/text-kernel.wasm' : './text-kernel.wasm',
  import.meta.url,
);

let compiled: WasmModule | undefined;
let tables = 0;

/** Memory of a new table: header and page addresses, the first slots, and a thread's buffers. */
const FIRST_PAGES = 32;
/** Slots of 16 bytes to begin with. */
const FIRST_SLOTS = 2 ** 14;

/**
 * An empty table of words.
 *
 * @throws {@link BinarizerError} `OUT_OF_MEMORY` when no addresses can be reserved for it
 */
export function newSharedWords(): SharedWords {
  compiled ??= compileModule(readFileSync(kernelFile));
  const memory = sharedMemory(FIRST_PAGES);
  if (memory !== undefined) return { key: tables++, module: compiled, memory };
  throw new BinarizerError('OUT_OF_MEMORY', 'no memory for a table of words: no addresses can be reserved', {
    hint: 'Raise the limit of virtual memory (ulimit -v): the engine reserves more than is used.',
  });
}

/**
 * A thread's access to a table of words: the loops of `assembly/`, compiled to WebAssembly. Only one thread may call
 * {@link TextKernel.makeTable}, and before any other function is called; all others are safe in any thread.
 */
export class TextKernel {
  readonly exports: KernelExports;
  readonly #memory: WasmMemory;

  /** @param shared - the table */
  constructor({ module, memory }: SharedWords) {
    this.#memory = memory;
    this.exports = instantiate<KernelExports>(module, memory);
  }

  /** Makes the table. @throws {@link BinarizerError} `WORDS_TOO_LARGE` */
  makeTable(): void {
    if (!this.exports.makeTable(FIRST_SLOTS)) throw this.full();
  }

  /**
   * Memory for anything.
   *
   * @returns its address
   * @throws {@link BinarizerError} `WORDS_TOO_LARGE`
   */
  allocate(byteLength: number): number {
    const address = byteLength < 2 ** 32 ? this.exports.allocate(byteLength) >>> 0 : 0;
    if (address === 0) throw this.full();
    return address;
  }

  /** The error of a table for which there is no more memory. */
  full(): BinarizerError {
    const byteLength = this.#memory.buffer.byteLength;
    const megabytes = Math.round(byteLength / 2 ** 20);
    const words = this.exports.wordCount();
    const message = `no memory for more words: ${words} of them and their table take ${megabytes} MiB`;
    return new BinarizerError('WORDS_TOO_LARGE', message, {
      hint: 'Is this a text of words? Split longer units first. If it is, allow more memory (at most 4 GiB are used).',
      details: { found: words, byteLength },
    });
  }

  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, address, length);
  }

  int32(address: number, length: number): Int32Array {
    return new Int32Array(this.#memory.buffer, address, length);
  }

  uint32(address: number, length: number): Uint32Array {
    return new Uint32Array(this.#memory.buffer, address, length);
  }

  float64(address: number, length: number): Float64Array {
    return new Float64Array(this.#memory.buffer, address, length);
  }
}
