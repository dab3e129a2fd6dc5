// Runs in the worker: keys and values never leave it.
import * as ort from 'onnxruntime-node';
import type { CacheLayout, CacheUse, TensorMessage } from './messages.js';
import { tensorOf } from './tensor-of.js';

/** What one row of tokens has left behind. */
interface RowCache {
  /** What each slot is fed with the next step. */
  readonly inputs: Map<string, ort.Tensor>;
}

/** Tokens that fit into a new cache; it doubles when it is full. */
const smallestCapacity = 256;

/** Keys and values of the rows that are being continued, by the number of the row. */
export class StepCaches {
  readonly #layout: CacheLayout;
  readonly #rows = new Map<number, RowCache>();

  /** @param layout - which outputs become which inputs, and how */
  constructor(layout: CacheLayout) {
    this.#layout = layout;
  }

  /** Names of the outputs that are kept. */
  get outputs(): string[] {
    return this.#layout.slots.map(({ output }) => output);
  }

  /** What a step is fed. A row begins anew with length 0. */
  inputs({ row, length }: CacheUse): [string, ort.Tensor][] {
    if (length === 0) {
      const empty = this.#layout.slots.map(
        ({ input, empty: tensor }) => [input, emptyTensor(tensor)] as const,
      );
      this.#rows.set(row, { inputs: new Map(empty) });
    }
    return [...(this.#rows.get(row)?.inputs ?? [])];
  }

  /** Keeps what a step has given. */
  keep({ row, length }: CacheUse, results: Readonly<Record<string, ort.Tensor>>): void {
    const cache = this.#rows.get(row);
    if (cache === undefined) return;
    for (const { input, output } of this.#layout.slots) {
      const result = results[output];
      const kept =
        this.#layout.kind === 'replace' ? result : appended(cache.inputs.get(input), result, length);
      cache.inputs.set(input, kept);
    }
  }

  /** Frees a row. */
  forget(row: number): void {
    this.#rows.delete(row);
  }
}

/** Tensors of a run may not share memory with what is sent next time. */
function emptyTensor({ data, shape }: TensorMessage): ort.Tensor {
  return tensorOf({ data: data.slice(), shape });
}

/** Puts rows `[S, heads * width]` behind the first `length` tokens of `[1, heads, capacity, width]`. */
function appended(past: ort.Tensor | undefined, added: ort.Tensor, length: number): ort.Tensor {
  if (past === undefined) throw new TypeError('a cache has all of its slots');
  const [, heads, , width] = past.dims;
  const count = added.dims[0];
  const grown = withCapacity(past, length, length + count);
  const capacity = grown.dims[2];
  const [from, to] = [added.data as Float32Array, grown.data as Float32Array];
  for (let token = 0; token < count; token++) {
    for (let head = 0; head < heads; head++) {
      const start = (token * heads + head) * width;
      to.set(from.subarray(start, start + width), (head * capacity + length + token) * width);
    }
  }
  return grown;
}

/** The same tensor, or one with more room and the first `length` tokens of it. */
function withCapacity(past: ort.Tensor, length: number, needed: number): ort.Tensor {
  const [, heads, capacity, width] = past.dims;
  if (needed <= capacity) return past;
  const next = Math.max(needed, 2 * capacity, smallestCapacity);
  const from = past.data as Float32Array;
  const to = new Float32Array(heads * next * width);
  for (let head = 0; head < heads; head++) {
    const start = head * capacity * width;
    to.set(from.subarray(start, start + length * width), head * next * width);
  }
  return new ort.Tensor('float32', to, [1, heads, next, width]);
}
