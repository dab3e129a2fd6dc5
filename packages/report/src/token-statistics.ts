import type { DocumentMap, Words } from './document-map.js';
import { describeDocuments } from './document-statistics.js';
import { GroupSums, type TokenLoss } from './group-sums.js';
import { LinearHistogram } from './linear-histogram.js';
import { LogarithmicClasses } from './logarithmic-classes.js';
import { count } from './numbers.js';
import type { ReportData, TokenGroup } from './report-data.js';
import { WideningGroups } from './widening-groups.js';

/** What is known of one token when it is counted. */
export interface CountedToken {
  /** Id. */
  readonly token: number;
  /** Place in the block that is scored together. */
  readonly blockPosition: number;
  /** Number of its document. */
  readonly document: number;
  /** Place in its document. */
  readonly documentPosition: number;
  /** Squared distance of the nearest neighbour; infinite where there is none. */
  readonly nearest: number;
  /** Squared distance of the farthest neighbour; minus infinity where there is none. */
  readonly farthest: number;
  /** p_kNN. */
  readonly knnProb: number;
}

const decades = 10;
/** Classes of a probability, by their lower ends. */
const probabilityClasses: readonly (readonly [least: number, label: string])[] = [
  [0.5, 'above 0.5'],
  [0.1, '0.1 to 0.5'],
  [0.01, '0.01 to 0.1'],
  [1e-3, '0.001 to 0.01'],
  [1e-4, '0.0001 to 0.001'],
  [Number.MIN_VALUE, 'below 0.0001'],
  [0, '0'],
];
/** Positions below 32 are one class; each class after it is twice as long. */
const firstOctave = 5;
const positionClasses = 40;
const mostDocumentGroups = 4096;
const wordsShown = 12;

/** Everything that is counted token by token, in memory that does not grow with the text. */
export class TokenStatistics {
  readonly #words: Words;
  readonly #totals = new GroupSums(1);
  readonly #byWord: GroupSums;
  readonly #byLmProbability = new GroupSums(probabilityClasses.length);
  readonly #byKnnProbability = new GroupSums(probabilityClasses.length);
  readonly #byDistance = new LogarithmicClasses();
  readonly #farthest = new LogarithmicClasses();
  readonly #byBlockPosition = new WideningGroups(32);
  readonly #byDocumentPosition = new GroupSums(positionClasses);
  readonly #byDocument = new WideningGroups(mostDocumentGroups);
  readonly #gains = new LinearHistogram(-8, 16, 96);
  #unseen = 0;
  #withoutNeighbors = 0;

  /** @param words - the dictionary */
  constructor(words: Words) {
    this.#words = words;
    this.#byWord = new GroupSums(words.size);
  }

  /** Tokens counted so far. */
  get tokens(): number {
    return this.#totals.tokens(0);
  }

  /** Counts one token. */
  add(token: CountedToken, loss: TokenLoss): void {
    this.#totals.add(0, loss);
    this.#byWord.add(token.token, loss);
    this.#byLmProbability.add(probabilityClass(2 ** -loss.lmBits), loss);
    this.#byKnnProbability.add(probabilityClass(token.knnProb), loss);
    this.#byBlockPosition.add(token.blockPosition, loss);
    this.#byDocumentPosition.add(octaveOf(token.documentPosition), loss);
    this.#byDocument.add(token.document, loss);
    this.#gains.add(loss.lmBits - loss.mixedBits);
    if (token.knnProb === 0) this.#unseen++;
    if (token.nearest === Infinity) this.#withoutNeighbors++;
    else {
      this.#byDistance.add(token.nearest, loss);
      this.#farthest.add(token.farthest, loss);
    }
  }

  /** What was counted, as the report shows it. */
  result(documents: DocumentMap) {
    const blockGroups = Math.max(1, Math.ceil(this.#byBlockPosition.count / 10));
    return {
      totals: this.#totals.group('all tokens', 0),
      unseen: this.#unseen,
      byFrequency: this.#groupsByFrequency(),
      byLmProbability: groupsByProbability(this.#byLmProbability),
      byKnnProbability: groupsByProbability(this.#byKnnProbability),
      byDistance: this.#byDistance.quantiles(10),
      byBlockPosition: this.#byBlockPosition.groups((first, last) => range(first + 1, last + 1), blockGroups),
      byDocumentPosition: present(
        Array.from({ length: positionClasses }, (_, i) => this.#byDocumentPosition.group(octaveLabel(i), i)),
      ),
      documents: describeDocuments(this.#byDocument, documents),
      words: { helped: this.#wordsBy((a, b) => b - a), hurt: this.#wordsBy((a, b) => a - b) },
      gains: this.#gains.bins(),
      distances: {
        nearest: this.#byDistance.histogram(40),
        farthest: this.#farthest.histogram(40),
        none: this.#withoutNeighbors,
      },
    } satisfies Partial<ReportData>;
  }

  #groupsByFrequency(): TokenGroup[] {
    const { eos, unk } = this.#words;
    const sums = new Map<number, TokenGroup>();
    for (let id = 0; id < this.#byWord.size; id++) {
      if (id === eos || id === unk || this.#byWord.tokens(id) === 0) continue;
      const decade = decadeOf(this.#words.count(id));
      const word = this.#byWord.group(decadeLabel(decade), id);
      sums.set(decade, addUp(sums.get(decade), word));
    }
    const ascending = [...sums].sort(([a], [b]) => a - b).map(([, group]) => group);
    const special = [unk, eos].map((id) => this.#byWord.group(this.#words.symbol(id), id));
    return present([...ascending, ...special]);
  }

  #wordsBy(order: (a: number, b: number) => number): TokenGroup[] {
    const sign = order(0, 1);
    const ids = Array.from({ length: this.#byWord.size }, (_, id) => id).filter(
      (id) => sign * this.#byWord.gain(id) > 0,
    );
    ids.sort((a, b) => order(this.#byWord.gain(a), this.#byWord.gain(b)));
    return ids.slice(0, wordsShown).map((id) => this.#byWord.group(this.#words.symbol(id), id));
  }
}

function probabilityClass(probability: number): number {
  return probabilityClasses.findIndex(([least]) => probability >= least);
}

function groupsByProbability(sums: GroupSums): TokenGroup[] {
  return present(probabilityClasses.map(([, label], i) => sums.group(label, i)));
}

function present(groups: readonly TokenGroup[]): TokenGroup[] {
  return groups.filter(({ tokens }) => tokens > 0);
}

function addUp(a: TokenGroup | undefined, b: TokenGroup): TokenGroup {
  if (a === undefined) return b;
  return {
    label: a.label,
    tokens: a.tokens + b.tokens,
    lmBits: a.lmBits + b.lmBits,
    mixedBits: a.mixedBits + b.mixedBits,
    helped: a.helped + b.helped,
  };
}

function range(first: number, last: number): string {
  return first === last ? count(first) : `${count(first)} to ${count(last)}`;
}

function decadeOf(occurrences: number): number {
  return occurrences < 1 ? 0 : Math.min(Math.floor(Math.log10(occurrences) + 1e-9) + 1, decades);
}

function decadeLabel(decade: number): string {
  if (decade === 0) return 'never';
  return decade === decades
    ? `${count(10 ** (decades - 1))} or more`
    : range(10 ** (decade - 1), 10 ** decade - 1);
}

function octaveOf(position: number): number {
  const octave = Math.floor(Math.log2(Math.max(position, 1))) - firstOctave + 1;
  return Math.min(Math.max(octave, 0), positionClasses - 1);
}

function octaveLabel(octave: number): string {
  const end = 2 ** (firstOctave + octave);
  return range(octave === 0 ? 1 : end / 2 + 1, end);
}
