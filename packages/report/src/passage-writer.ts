import type { DocumentMap, DocumentText, Words } from './document-map.js';
import type { PickedNeighbor, PickedToken } from './picked-token.js';
import type { PickedPassage } from './passage-picker.js';
import type { Passage, PassageNeighbor, PassageToken } from './report-data.js';

/** The tokens around a row of the datastore, in the text that it was made of. */
export interface NeighborContext {
  /** Ids of the tokens before the row's value. */
  readonly before: ArrayLike<number>;
  /** Ids of the tokens behind it. */
  readonly after: ArrayLike<number>;
}

/**
 * Finds the surroundings of a row in the datastore's text; `undefined` where they are not known.
 *
 * @param row - row of the datastore
 * @param value - id of the token that followed there
 */
export type ContextOf = (row: number, value: number) => NeighborContext | undefined;

/** Where a {@link PassageWriter} finds words. */
export interface PassageWriterOptions {
  /** Dictionary. */
  readonly words: Words;
  /** The evaluated text. */
  readonly text: DocumentText;
  /** Its documents. */
  readonly documents: DocumentMap;
  /** The neighbours' surroundings. */
  readonly contextOf: ContextOf | undefined;
}

/** Words in front of a passage. */
const wordsBefore = 24;
/** Characters of a single word, and of the contexts of a neighbour: the page stays small whatever the words are. */
const longestWord = 64;
const longestBefore = 96;
const longestAfter = 40;

/** Turns chosen passages into words. */
export class PassageWriter {
  readonly #options: PassageWriterOptions;

  /** @param options - where the words are */
  constructor(options: PassageWriterOptions) {
    this.#options = options;
  }

  /** The passages, with the words of their tokens and of the neighbours' contexts. */
  write(passages: readonly PickedPassage[]): Passage[] {
    const { documents, text } = this.#options;
    return passages.map(({ kind, position, tokens }) => {
      const before = text.readTokens(Math.max(0, position - wordsBefore), position);
      const document = documents.starts.findLastIndex((start) => start <= position);
      return {
        kind,
        position,
        document: documents.title(document) || null,
        before: this.#words(before),
        tokens: tokens.map((token) => this.#token(token)),
      };
    });
  }

  #token({ token, lmLogProb, logProb, knnProb, predictions, neighbors }: PickedToken): PassageToken {
    return {
      word: this.#word(token),
      lmLogProb,
      logProb,
      knnProb,
      predictions: predictions.map(({ value, share }) => ({ word: this.#word(value), share })),
      neighbors: neighbors.map((neighbor) => this.#neighbor(neighbor)),
    };
  }

  #neighbor({ row, distance, share, value }: PickedNeighbor): PassageNeighbor {
    const context = row < 0 ? undefined : this.#options.contextOf?.(row, value);
    return {
      row,
      distance,
      share,
      word: this.#word(value),
      before: lastPart(this.#words(context?.before ?? []), longestBefore),
      after: firstPart(this.#words(context?.after ?? []), longestAfter),
    };
  }

  #word(id: number): string {
    return firstPart(this.#options.words.symbol(id), longestWord);
  }

  #words(ids: ArrayLike<number>): string {
    return Array.from(ids, (id) => this.#word(id)).join(' ');
  }
}

function firstPart(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

function lastPart(text: string, length: number): string {
  return text.length <= length ? text : `…${text.slice(1 - length)}`;
}
