import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { describeFileError, writeFileAtomic } from '@knn-lm/common';
import { DictionaryLines } from './dictionary-text.js';
import { BinarizerError } from './errors.js';
import { splitWords } from './python-text.js';
import type { ChosenWords, SharedTable } from './shared-table.js';
import { WordTable, type WordBytes } from './word-table.js';

/** Symbols with ids 0 to 3, which are never written to `dict.txt`. */
export const specialSymbols = ['<s>', '<pad>', '</s>', '<unk>'] as const;

/** A dictionary is read whole; no real one comes near this. */
const MAX_FILE_BYTES = 2 ** 28;

const SPACE = 0x20;
const LF = 0x0a;

/** Bytes of `dict.txt` made at a time. */
const TEXT_PIECE_BYTES = 2 ** 18;

/** How {@link Dictionary.fromCounts} chooses the words to keep. */
export interface FinalizeOptions {
  /** Words that occur less often are left out. @defaultValue 0 */
  readonly threshold?: number;
  /** Largest size, with the four special symbols and without padding; 0 or less is no limit. @defaultValue -1 */
  readonly nwords?: number;
  /** The size is padded with `madeupword0000…` to a multiple of this; 0 and 1 do not pad. @defaultValue 8 */
  readonly paddingFactor?: number;
}

/**
 * A map between symbols and consecutive ids: fairseq's `dict.txt` (`fairseq/data/dictionary.py`). Ids 0 to 3 are
 * `<s>`, `<pad>`, `</s>` and `<unk>`; the others follow in the order of the file.
 *
 * @example
 * ```ts
 * const dictionary = await Dictionary.load('data-bin/dict.txt');
 * dictionary.encodeLine('the cat sat'); // Int32Array [ 4, 17, 22, 2 ]
 * ```
 */
export class Dictionary {
  /** Id of `<s>`. */
  readonly bos = 0;
  /** Id of `<pad>`. */
  readonly pad = 1;
  /** Id of `</s>`, which ends every line. */
  readonly eos = 2;
  /** Id of `<unk>`, for every unknown word. */
  readonly unk = 3;
  /** The words by id. */
  readonly #table = new WordTable();
  readonly #counts: (number | bigint)[] = [];
  #fingerprint: string | undefined;

  private constructor() {
    for (const symbol of specialSymbols) this.#add(symbol, 1);
  }

  /**
   * Reads a `dict.txt`.
   *
   * @param path - the file
   * @throws {@link BinarizerError} `DICTIONARY_FORMAT`, `DICTIONARY_DUPLICATE`, `TEXT_NOT_UTF8`, `DICTIONARY_TOO_LARGE`
   * @throws KnnLmError `FILE_…` when it cannot be read
   */
  static async load(path: string): Promise<Dictionary> {
    let bytes: Uint8Array;
    try {
      const { size } = await stat(path);
      if (size > MAX_FILE_BYTES) throw tooLarge(path, size);
      bytes = await readFile(path);
    } catch (cause) {
      throw describeFileError(cause, path, 'read the dictionary');
    }
    return Dictionary.parse(bytes, path);
  }

  /**
   * Parses the bytes of a `dict.txt`: `symbol count` lines, split at the last space; with the third field
   * `#fairseq:overwrite` a known symbol gets a new id, without it a known symbol is an error.
   *
   * @param bytes - the file's content
   * @param path - for messages
   * @throws {@link BinarizerError} `DICTIONARY_FORMAT`, `DICTIONARY_DUPLICATE`, `TEXT_NOT_UTF8`, `DICTIONARY_TOO_LARGE`
   */
  static parse(bytes: Uint8Array, path: string): Dictionary {
    if (bytes.length > MAX_FILE_BYTES) throw tooLarge(path, bytes.length);
    const dictionary = new Dictionary();
    const lines = new DictionaryLines(bytes, path);
    while (lines.next()) {
      const { start, end } = lines;
      if (!lines.overwrite && dictionary.#table.find(bytes, start, end) >= 0) {
        throw duplicate(path, lines.number, start, lines.symbol);
      }
      dictionary.#table.add(bytes, start, end);
      dictionary.#counts.push(lines.count);
    }
    return dictionary;
  }

  /**
   * Makes a dictionary of known symbols; the first has id 4.
   *
   * @param symbols - in the order of their ids, all different; none is one of the special symbols
   * @param countOf - how often each occurred. @defaultValue 1
   * @throws {@link BinarizerError} `DICTIONARY_DUPLICATE`
   *
   * @example
   * ```ts
   * Dictionary.fromSymbols(['the', 'cat']).encodeLine('the cat sat'); // Int32Array [ 4, 5, 3, 2 ]
   * ```
   */
  static fromSymbols(symbols: Iterable<string>, countOf: (symbol: string) => number = () => 1): Dictionary {
    const dictionary = new Dictionary();
    for (const symbol of symbols) {
      if (dictionary.#table.findText(symbol) >= 0) throw duplicate('symbols', dictionary.size - 3, 0, symbol);
      dictionary.#add(symbol, countOf(symbol));
    }
    return dictionary;
  }

  /**
   * Makes a dictionary from the words of a text: most frequent first, ties by code point, then padded.
   *
   * @param counted - the words of the text, counted; `</s>` counts the lines
   * @param options - which to keep
   * @returns the dictionary, and `[words]` the id in it of each word, -1 of those that were not kept, in memory that threads
   * share
   * @internal
   */
  static fromCounts(
    counted: SharedTable,
    { threshold = 0, nwords = -1, paddingFactor = 8 }: FinalizeOptions = {},
  ): { dictionary: Dictionary; ids: Int32Array } {
    const dictionary = new Dictionary();
    const most = nwords > 0 ? Math.max(0, nwords - dictionary.size) : Infinity;
    const chosen = counted.choose({ first: specialSymbols, most, threshold });
    for (const [id, count] of chosen.firstCounts.entries()) dictionary.#counts[id] = 1 + count;
    for (let i = 0; i < chosen.counts.length; i++) dictionary.#counts.push(chosen.counts[i]);
    dictionary.#table.append(chosen.words);
    dictionary.#padTo(paddingFactor, chosen);
    return { dictionary, ids: chosen.ids };
  }

  /** Number of ids. */
  get size(): number {
    return this.#table.size;
  }

  /** Id of a symbol; that of `<unk>` if it is unknown. */
  index(symbol: string): number {
    const id = this.#table.findText(symbol);
    return id < 0 ? this.unk : id;
  }

  /** Symbol of an id; `<unk>` if there is no such id. */
  symbol(id: number): string {
    if (!(id >= 0 && id < this.size)) return specialSymbols[this.unk];
    return this.#table.text(id);
  }

  /** How often the symbol occurred in the training text, as the file says; 0 if there is no such id. */
  count(id: number): number {
    return Number(this.#counts[id] ?? 0);
  }

  /**
   * Encodes text as fairseq encodes one line: the words' ids and `</s>`. Line ends count as white space.
   *
   * @param line - the text
   * @returns `[words + 1]` ids
   */
  encodeLine(line: string): Int32Array {
    return Int32Array.from([...splitWords(line).map((word) => this.index(word)), this.eos]);
  }

  /** Symbols of ids, separated by spaces; `</s>` is one of them. */
  decode(ids: Iterable<number>): string {
    return Array.from(ids, (id) => this.symbol(id)).join(' ');
  }

  /** The content of `dict.txt`: a line `symbol count` for each id from 4 on. */
  toText(): string {
    return Buffer.concat([...this.#toPieces()]).toString('utf8');
  }

  /** The bytes of {@link Dictionary.toText}, without a string of each symbol. */
  *#toPieces(): Generator<Uint8Array> {
    const { bytes, offsets } = this.#table.words;
    let piece = new Uint8Array(TEXT_PIECE_BYTES);
    let filled = 0;
    for (let id = specialSymbols.length; id < this.size; id++) {
      const length = offsets[id + 1] - offsets[id];
      const count = String(this.#counts[id]);
      const needed = length + count.length + 2;
      if (filled + needed > piece.length) {
        yield piece.subarray(0, filled);
        piece = new Uint8Array(Math.max(TEXT_PIECE_BYTES, needed));
        filled = 0;
      }
      // Words and numbers are short: these loops are faster than views and calls.
      for (let i = offsets[id]; i < offsets[id + 1]; i++) piece[filled++] = bytes[i];
      piece[filled++] = SPACE;
      for (let i = 0; i < count.length; i++) piece[filled++] = count.charCodeAt(i);
      piece[filled++] = LF;
    }
    yield piece.subarray(0, filled);
  }

  /**
   * Writes `dict.txt`, which gets its name when it is complete.
   *
   * @param path - the file
   * @throws KnnLmError `FILE_…`
   */
  async save(path: string): Promise<void> {
    try {
      await writeFileAtomic(path, async (file) => {
        for (const piece of this.#toPieces()) await file.writeFile(piece);
      });
    } catch (cause) {
      throw describeFileError(cause, path, 'write the dictionary');
    }
  }

  /** SHA-256 of {@link Dictionary.toText} as UTF-8, in hexadecimal: equal for equal dictionaries. */
  get fingerprint(): string {
    if (this.#fingerprint === undefined) {
      const hash = createHash('sha256');
      for (const piece of this.#toPieces()) hash.update(piece);
      this.#fingerprint = hash.digest('hex');
    }
    return this.#fingerprint;
  }

  /** The words by id. @internal */
  get words(): WordBytes {
    return this.#table.words;
  }

  #add(symbol: string, count: number | bigint): void {
    this.#table.addText(symbol);
    this.#counts.push(count);
  }

  /**
   * Pads the size to a multiple. A made-up word that the text has and that was kept uses up its number; one that was left out
   * is found again.
   */
  #padTo(factor: number, { find, ids }: ChosenWords): void {
    if (factor <= 1) return;
    for (let i = 0; this.size % factor !== 0; i++) {
      const symbol = `madeupword${String(i).padStart(4, '0')}`;
      const found = find(symbol);
      if (found >= 0 && ids[found] >= 0) continue;
      if (found >= 0) ids[found] = this.size;
      this.#add(symbol, 0);
    }
  }
}

function tooLarge(path: string, size: number): BinarizerError {
  return new BinarizerError(
    'DICTIONARY_TOO_LARGE',
    `${path}: has ${size} bytes; a dictionary has at most ${MAX_FILE_BYTES}`,
    {
      hint: 'Is this a dict.txt, with a symbol and a count on each line?',
      details: { path, found: size, expected: MAX_FILE_BYTES },
    },
  );
}

function duplicate(path: string, line: number, byteOffset: number, symbol: string): BinarizerError {
  const special = (specialSymbols as readonly string[]).includes(symbol);
  return new BinarizerError(
    'DICTIONARY_DUPLICATE',
    `${path}:${line}: Duplicate word found when loading Dictionary: '${symbol}'`,
    {
      hint: special
        ? 'The special symbols are not listed in a dict.txt; remove the line.'
        : 'Remove one of the lines, or end the later one with #fairseq:overwrite to give the word a new id.',
      details: { path, line, byteOffset, found: symbol },
    },
  );
}
