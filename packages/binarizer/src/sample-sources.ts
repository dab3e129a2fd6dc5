import type { Dictionary } from './dictionary.js';
import { BinarizerError } from './errors.js';
import type { TokenBlocks } from './token-blocks.js';
import type { TokenDataset } from './token-dataset.js';

/** Tokens looked through at a time for literal pads. */
const PIECE_TOKENS = 2 ** 20;

/**
 * What the model reads and predicts for each sample (`fairseq/data/token_block_dataset.py`, `monolingual_dataset.py`):
 * the targets are the sample's tokens; the source is the text one token earlier, and `</s>` comes first where the sample
 * begins a sentence.
 */
export class SampleSources {
  readonly #dataset: TokenDataset;
  readonly #blocks: TokenBlocks;
  readonly #dictionary: Dictionary;
  readonly #bosTokens: 0 | 1;
  /** `[samples]` literal pads in each source; absent when the text has none. */
  #pads: Int32Array | undefined;

  /**
   * @param dataset - the text
   * @param blocks - its samples
   * @param dictionary - the ids of special symbols, and the largest id
   * @param addBos - whether `<s>` is put before the source (`--add-bos-token`); nothing is scored there
   */
  constructor(dataset: TokenDataset, blocks: TokenBlocks, dictionary: Dictionary, addBos: boolean) {
    this.#dataset = dataset;
    this.#blocks = blocks;
    this.#dictionary = dictionary;
    this.#bosTokens = addBos ? 1 : 0;
  }

  /** Tokens of a sample with `<s>`. */
  rowTokens(sample: number): number {
    return this.#blocks.sizes[sample] + this.#bosTokens;
  }

  /** Tokens of a sample's source that count for the context: without literal pads. */
  contextTokens(sample: number): number {
    return this.rowTokens(sample) - (this.#pads?.[sample] ?? 0);
  }

  /**
   * What the model reads for a sample: `[rowTokens]` ids.
   *
   * @throws {@link BinarizerError} `TOKEN_OUT_OF_RANGE`
   */
  source(sample: number): Int32Array {
    return this.sourceAndTargets(sample).source;
  }

  /**
   * What the model reads and what it is to predict: `[rowTokens]` ids each.
   *
   * @throws {@link BinarizerError} `TOKEN_OUT_OF_RANGE`
   */
  sourceAndTargets(sample: number): { source: Int32Array; targets: Int32Array } {
    const { bos, pad, eos } = this.#dictionary;
    const start = this.#blocks.starts[sample];
    const size = this.#blocks.sizes[sample];
    const takesPrevious = this.#blocks.startsSentence[sample] === 0;
    const tokens = this.#read(takesPrevious ? start - 1 : start, start + size);
    const text = takesPrevious ? tokens.subarray(1) : tokens;
    const source = new Int32Array(size + this.#bosTokens);
    const targets = new Int32Array(size + this.#bosTokens);
    targets.set(text, this.#bosTokens);
    if (size > 0) {
      source[this.#bosTokens] = takesPrevious ? tokens[0] : eos;
      source.set(text.subarray(0, size - 1), this.#bosTokens + 1);
    }
    if (this.#bosTokens === 1) {
      source[0] = bos;
      // Fairseq predicts `<s>` and drops its score (`fairseq_cli/eval_lm.py`); here it is not scored.
      targets[0] = pad;
    }
    return { source, targets };
  }

  /** Leaves out literal pads, which fairseq drops from a carried context. */
  withoutPads(source: Int32Array): Int32Array {
    const { pad } = this.#dictionary;
    return source.includes(pad) ? source.filter((id) => id !== pad) : source;
  }

  /** Looks through the whole text for literal pads, which do not count for the context. */
  countPads(): void {
    const { pad } = this.#dictionary;
    for (let start = 0; start < this.#dataset.tokenCount; start += PIECE_TOKENS) {
      const tokens = this.#read(start, Math.min(start + PIECE_TOKENS, this.#dataset.tokenCount));
      for (let i = tokens.indexOf(pad); i >= 0; i = tokens.indexOf(pad, i + 1)) this.#notePad(start + i);
    }
  }

  /** A token is part of the source of the sample that holds the token after it. */
  #notePad(token: number): void {
    const { starts, sizes, startsSentence } = this.#blocks;
    const sample = lastAtMost(starts, token + 1);
    if (sample < 0 || token + 1 >= starts[sample] + sizes[sample]) return;
    if (starts[sample] === token + 1 && startsSentence[sample] === 1) return;
    this.#pads ??= new Int32Array(sizes.length);
    this.#pads[sample]++;
  }

  #read(start: number, end: number): Int32Array {
    const tokens = this.#dataset.readTokens(start, end);
    const { size } = this.#dictionary;
    for (let i = 0; i < tokens.length; i++) {
      if (tokens[i] >= size) throw outsideDictionary(this.#dataset.path, start + i, tokens[i], size);
    }
    return tokens;
  }
}

/** Index of the last value that is at most `value`, of an ascending array; -1 if there is none. */
function lastAtMost(values: Float64Array, value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function outsideDictionary(path: string, token: number, id: number, size: number): BinarizerError {
  return new BinarizerError(
    'TOKEN_OUT_OF_RANGE',
    `${path}: token ${token} has id ${id}, but the dictionary has only ${size} symbols`,
    {
      hint: 'The dataset was made with another dictionary; use the dict.txt that lies beside it.',
      details: { path, token, found: id, expected: `0 to ${size - 1}` },
    },
  );
}
