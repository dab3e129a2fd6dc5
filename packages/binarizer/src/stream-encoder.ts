/** Characters of a text that are encoded at a time. */
const PIECE_CHARACTERS = 16_384;
/** Characters on both sides of a place that decide whether the text may be cut there. */
const SIDE_CHARACTERS = 256;
/** Places that are tried before more text is waited for. */
const MOST_TRIES = 64;
/** So much text is held at most. */
const MOST_PENDING = 2 ** 20;

/**
 * Encodes a text of any length as if it were encoded whole, in constant memory. What a tokenizer makes of a place depends on
 * what is around it, differently for each kind of tokenizer; so a place to cut is tried: it is right when the text before it
 * gets the same ids alone as with what follows. What follows is then encoded with the text before it, whose ids are left out.
 * (Only a million characters without such a place, a run of one letter for instance, are cut anyway.)
 */
export class StreamEncoder {
  readonly #encode: (text: string) => number[];
  #pending = '';
  /** What was encoded last. */
  #context = '';
  #pieceCharacters = PIECE_CHARACTERS;

  /** @param encode - encodes a text on its own */
  constructor(encode: (text: string) => number[]) {
    this.#encode = encode;
  }

  /**
   * Adds text.
   *
   * @returns the ids that have become certain
   */
  push(text: string): number[] {
    this.#pending += text;
    const pieces: number[][] = [];
    while (this.#pending.length > this.#pieceCharacters + SIDE_CHARACTERS) {
      const place = this.#placeToCut();
      if (place !== undefined) {
        pieces.push(this.#take(place));
        this.#pieceCharacters = PIECE_CHARACTERS;
      } else if (this.#pieceCharacters < MOST_PENDING) {
        this.#pieceCharacters *= 2;
      } else {
        // There is no place to cut: what follows is a text of its own.
        pieces.push(this.#take(wholeCharacters(this.#pending, this.#pieceCharacters)));
        this.#context = '';
      }
    }
    return pieces.length === 1 ? pieces[0] : pieces.flat();
  }

  /**
   * Ends the text; the next one is another.
   *
   * @returns its last ids
   */
  end(): number[] {
    const ids = this.#pending === '' ? [] : this.#take(this.#pending.length);
    this.#context = '';
    this.#pieceCharacters = PIECE_CHARACTERS;
    return ids;
  }

  #take(length: number): number[] {
    const context = this.#context;
    const piece = this.#pending.slice(0, length);
    const ids = this.#encode(context + piece).slice(context === '' ? 0 : this.#encode(context).length);
    this.#pending = this.#pending.slice(length);
    this.#context = lastCharacters(context + piece);
    return ids;
  }

  /** A place where the text may be cut: word ends first, the last one before the piece is full. */
  #placeToCut(): number | undefined {
    let tries = 0;
    for (const onlyWordEnds of [true, false]) {
      const least = this.#pieceCharacters / 2;
      for (let place = this.#pieceCharacters; place > least && tries < MOST_TRIES; place--) {
        const [before, after] = [this.#pending[place - 1], this.#pending[place]];
        if (onlyWordEnds ? isSpace(before) === isSpace(after) : isSecondHalf(after)) continue;
        tries++;
        if (this.#mayCutAt(place)) return place;
      }
      tries = 0;
    }
    return undefined;
  }

  #mayCutAt(place: number): boolean {
    const before = lastCharacters(
      this.#context + this.#pending.slice(Math.max(0, place - SIDE_CHARACTERS), place),
    );
    const after = this.#pending.slice(place, wholeCharacters(this.#pending, place + SIDE_CHARACTERS));
    const alone = this.#encode(before);
    const together = this.#encode(before + after);
    return alone.every((id, i) => together[i] === id);
  }
}

function isSpace(character: string): boolean {
  return character === ' ' || character === '\n' || character === '\r' || character === '\t';
}

/** The second of two UTF-16 units of a character. */
function isSecondHalf(unit: string | undefined): boolean {
  return unit !== undefined && unit >= '\udc00' && unit <= '\udfff';
}

/** A length, or one less, so that no character is cut. */
function wholeCharacters(text: string, length: number): number {
  return isSecondHalf(text[length]) ? length - 1 : length;
}

function lastCharacters(text: string): string {
  const start = Math.max(0, text.length - SIDE_CHARACTERS);
  return text.slice(isSecondHalf(text[start]) ? start + 1 : start);
}
