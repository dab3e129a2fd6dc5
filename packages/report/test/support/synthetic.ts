import { Pcg64 } from '@knn-lm/common';
import { interpolate, knnProbability, type RetrievedNeighbors } from '@knn-lm/knn-lm';
import type { DocumentText, ReportBatch, RunFacts, Words } from '../../src/index.js';

/** Words that would break a page which does not escape them. */
export const hostileWords = [
  '</script><script>document.title="broken"</script>',
  '<img src=x onerror=alert(1)>',
  '<!--',
  ']]>',
  '&amp;',
  '"\'`${}',
  '\u2028\u2029',
  '=',
];

/** A dictionary of made-up words: the special symbols, the hostile ones, then `w12`, `w13` and so on. */
export function makeWords(size: number): Words {
  const symbols = ['<s>', '<pad>', '</s>', '<unk>', ...hostileWords];
  for (let id = symbols.length; id < size; id++) symbols.push(`w${id}`);
  return {
    size,
    eos: 2,
    unk: 3,
    symbol: (id) => symbols[id] ?? '<unk>',
    index: (symbol) => Math.max(symbols.indexOf(symbol), 3),
    count: (id) => Math.round(1e6 / (id + 1)),
  };
}

/** A text of sentences of 25 tokens; a heading `= w w =` begins every document. */
export class SyntheticText implements DocumentText {
  readonly sizes: Int32Array;
  readonly tokenCount: number;
  readonly #words: Words;
  readonly #sentencesPerDocument: number;

  constructor(words: Words, sentences: number, sentencesPerDocument: number) {
    this.sizes = new Int32Array(sentences).fill(25);
    this.tokenCount = sentences * 25;
    this.#words = words;
    this.#sentencesPerDocument = sentencesPerDocument;
  }

  readTokens(start: number, end: number): Int32Array {
    return Int32Array.from({ length: end - start }, (_, i) => this.#token(start + i));
  }

  #token(position: number): number {
    const sentence = Math.floor(position / 25);
    const place = position % 25;
    if (place === 24) return this.#words.eos;
    const isHeading = sentence % this.#sentencesPerDocument === 0;
    if (isHeading && (place === 0 || place === 23)) return this.#words.index('=');
    // Multiplying by a large odd number scatters the ids; the square makes the small ones frequent.
    const part = (Math.imul(position + 1, 0x9e3779b1) >>> 0) / 2 ** 32;
    const plain = this.#words.size - 4;
    return 4 + Math.floor(part * part * plain);
  }
}

/** How a text is evaluated. */
export interface SyntheticRun {
  readonly words: Words;
  readonly text: SyntheticText;
  readonly k: number;
  readonly lambda: number;
  readonly temperature: number;
  readonly blockSize: number;
}

/** One batch as an evaluation gives it, with made-up probabilities and neighbours. */
export function makeBatch(run: SyntheticRun, start: number, end: number, seed = 1) {
  const { words, text, k, lambda, temperature, blockSize } = run;
  const random = new Pcg64(seed + start);
  const uniform = () => (random.nextUint32() + 0.5) / 2 ** 32;
  const tokens = text.readTokens(start, end);
  const count = tokens.length;
  const neighbors: RetrievedNeighbors = {
    k,
    ids: Float64Array.from({ length: count * k }, () => Math.floor(uniform() * 1e6)),
    distances: Float32Array.from({ length: count * k }, (_, i) => 10 + (i % k) + 20 * uniform()),
    values: Int32Array.from({ length: count * k }, (_, i) =>
      uniform() < 0.3 ? tokens[Math.floor(i / k)] : 4 + Math.floor(uniform() * (words.size - 4)),
    ),
  };
  const lmLogProbs = Float32Array.from({ length: count }, () => -12 * uniform() ** 2 - 0.01);
  const knnProbs = Float64Array.from(tokens, (token, i) => knnProbability(neighbors, i, token, temperature));
  const logProbs = Float64Array.from(knnProbs, (prob, i) => interpolate(lmLogProbs[i], prob, lambda));
  const samples = [];
  for (let begin = 0; begin < count; begin += blockSize) {
    samples.push({ sampleId: (start + begin) / blockSize, begin, end: Math.min(begin + blockSize, count) });
  }
  const textPositions = Float64Array.from({ length: count }, (_, i) => start + i);
  const batch = { samples, tokens, textPositions, lmLogProbs, neighbors } satisfies ReportBatch;
  return { batch, logProbs, knnProbs };
}

/** Facts of a run that was not run. */
export const madeUpRun: RunFacts = {
  text: 'data-bin, split <test>',
  date: '2020-04-26T12:00:00.000Z',
  command: `eval_knn_lm data-bin --note '</pre><script>alert("x")</script>'`,
  tables: [
    { title: 'Settings', rows: [['Neighbours', '16']] },
    { title: 'Fingerprints', rows: [['Model', 'a'.repeat(64)]] },
  ],
};
