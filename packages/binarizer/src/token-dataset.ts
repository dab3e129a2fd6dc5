import { createHash } from 'node:crypto';

/** The sentences of one split, as token ids. */
export interface TokenDataset {
  /** Prefix of its files, or the text file. */
  readonly path: string;
  /** Number of sentences (lines of the text). */
  readonly length: number;
  /** `[length]` tokens of each sentence, `</s>` included. */
  readonly sizes: Int32Array;
  /** Number of tokens of all sentences. */
  readonly tokenCount: number;
  /**
   * Identity of the text: SHA-256, in hexadecimal, over the sizes and the ids of at most 1,048,576 tokens in 64 pieces
   * spread evenly over the text. The same for the same text in every format.
   */
  readonly fingerprint: string;
  /**
   * Ids of one sentence.
   *
   * @param i - 0 to `length - 1`
   * @returns `[sizes[i]]`
   * @throws BinarizerError `SENTENCE_OUT_OF_RANGE`, `TOKEN_OUT_OF_RANGE`
   */
  sentence(i: number): Int32Array;
  /**
   * Ids of a range of the text, all sentences one after the other.
   *
   * @param start - first token
   * @param end - the token after the last one, at most `tokenCount`
   * @returns `[end - start]`
   * @throws BinarizerError `RANGE_OUT_OF_TEXT`, `TOKEN_OUT_OF_RANGE`
   */
  readTokens(start: number, end: number): Int32Array;
  /** Closes its files, once however often it is called; reading after this may fail. */
  close(): void;
}

const FINGERPRINT_PIECES = 64;
const FINGERPRINT_PIECE_TOKENS = 16_384;

/** Computes {@link TokenDataset.fingerprint}. */
export function fingerprintOf(dataset: Omit<TokenDataset, 'fingerprint'>): string {
  const { length, sizes, tokenCount } = dataset;
  const hash = createHash('sha256').update(`text 1 ${length} ${tokenCount}\n`);
  hash.update(littleEndianBytes(sizes));
  const pieces = tokenCount <= FINGERPRINT_PIECES * FINGERPRINT_PIECE_TOKENS ? 1 : FINGERPRINT_PIECES;
  const pieceTokens = pieces === 1 ? tokenCount : FINGERPRINT_PIECE_TOKENS;
  for (let piece = 0; piece < pieces; piece++) {
    const start = pieces === 1 ? 0 : Math.floor(((tokenCount - pieceTokens) * piece) / (pieces - 1));
    hash.update(littleEndianBytes(dataset.readTokens(start, start + pieceTokens)));
  }
  return hash.digest('hex');
}

/** Every platform that Node.js runs on here is little-endian, as are the formats. */
function littleEndianBytes(values: Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** First token of each sentence, and after the last one the number of tokens: `[length + 1]`. */
export function sentenceStarts(sizes: Int32Array): Float64Array {
  const starts = new Float64Array(sizes.length + 1);
  for (let i = 0; i < sizes.length; i++) starts[i + 1] = starts[i] + sizes[i];
  return starts;
}
