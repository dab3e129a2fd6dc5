import { Pcg64 } from '@knn-lm/common';
import type { PassageKind } from './report-data.js';
import { describeToken, type PickedToken, type TokenView } from './picked-token.js';

/** A passage that was chosen while the text streamed by; words and contexts are looked up at the end. */
export interface PickedPassage {
  /** Why it was chosen. */
  readonly kind: PassageKind;
  /** Place of its first token in the text. */
  readonly position: number;
  /** Its tokens. */
  readonly tokens: readonly PickedToken[];
}

/** How much `PassagePicker` keeps. */
export interface PassageOptions {
  /** Most tokens of a passage. */
  readonly tokens: number;
  /** Passages of each kind. */
  readonly perKind: number;
  /** Neighbours of each token. */
  readonly neighbors: number;
  /** Words of what the neighbours predict. */
  readonly predictions: number;
  /** Seed of the passages drawn at random. */
  readonly seed: number;
}

interface Candidate {
  readonly rank: number;
  readonly passage: PickedPassage;
}

/**
 * Chooses passages of a text while it streams by: those with the largest gain, those with the smallest, and some at
 * random. Memory: one passage with all neighbours of its tokens, and the chosen ones with a few neighbours each.
 */
export class PassagePicker {
  readonly #options: PassageOptions;
  readonly #random: Pcg64;
  readonly #best: Readonly<Record<PassageKind, Candidate[]>> = { helped: [], hurt: [], random: [] };
  #open: TokenView[] = [];
  #openGain = 0;
  #openDocument = -1;

  /** @param options - how much to keep */
  constructor(options: PassageOptions) {
    this.#options = options;
    this.#random = new Pcg64(options.seed);
  }

  /**
   * Adds the next token. A passage ends where the text does not go on, and with its document.
   *
   * @param token - what is known of it; its arrays are only read during the call
   * @param gain - bits that the mixture saves
   * @param document - number of the document
   */
  add(token: TokenView, gain: number, document: number): void {
    const last = this.#open.at(-1);
    const goesOn =
      last === undefined || (token.position === last.position + 1 && document === this.#openDocument);
    if (!goesOn || this.#open.length === this.#options.tokens) this.#close();
    this.#open.push(copyOf(token));
    this.#openGain += gain;
    this.#openDocument = document;
  }

  /** The chosen passages, most helped first; none twice. */
  finish(): PickedPassage[] {
    this.#close();
    const chosen = new Map<number, PickedPassage>();
    for (const kind of ['helped', 'hurt', 'random'] as const) {
      for (const { passage } of this.#best[kind]) {
        if (!chosen.has(passage.position)) chosen.set(passage.position, passage);
      }
    }
    return [...chosen.values()];
  }

  #close(): void {
    if (this.#open.length === 0) return;
    // Reservoir sampling with the length as weight: every token is as likely to be shown (Efraimidis and Spirakis 2006).
    const drawn = (this.#random.nextUint32() / 2 ** 32) ** (1 / this.#open.length);
    const ranks = { helped: this.#openGain, hurt: -this.#openGain, random: drawn };
    let tokens: PickedToken[] | undefined;
    for (const kind of ['helped', 'hurt', 'random'] as const) {
      const kept = this.#best[kind];
      const rank = ranks[kind];
      if (kept.length === this.#options.perKind && rank <= kept[kept.length - 1].rank) continue;
      tokens ??= this.#open.map((token) => describeToken(token, this.#options));
      kept.push({ rank, passage: { kind, position: this.#open[0].position, tokens } });
      kept.sort((a, b) => b.rank - a.rank);
      kept.splice(this.#options.perKind);
    }
    this.#open = [];
    this.#openGain = 0;
  }
}

function copyOf(token: TokenView): TokenView {
  const { k, ids, distances, values, weights } = token.neighbors;
  const neighbors = {
    k,
    ids: ids.slice(),
    distances: distances.slice(),
    values: values.slice(),
    weights: weights?.slice(),
  };
  return { ...token, neighbors };
}
