import type { Dictionary } from '@knn-lm/binarizer';
import type { Logger } from '@knn-lm/common';
import { LossSum, type ScoredBatch } from '@knn-lm/knn-lm';

/** What the lines of {@link WordOutput} hold. */
export interface WordOutputOptions {
  /** Print each word of each block with its log-probability. */
  readonly wordProbs: boolean;
  /** Gather statistics of each word. */
  readonly wordStats: boolean;
  /** Mark at the end of a piece of a word (`@@`); words are scored whole then. */
  readonly pieceMark: string | undefined;
}

/** fairseq's WordStat (fairseq_cli/eval_lm.py): one line of `--output-word-stats`. */
interface WordStatistics {
  readonly word: string;
  readonly hasPieces: boolean;
  count: number;
  logProb: number;
  nextWordProb: number;
  missingNextWords: number;
}

/**
 * Turns scored tokens into words, as fairseq-eval-lm does: pieces of a word are joined and their log-probabilities added.
 * The loss counts words then.
 */
export class WordOutput {
  readonly #dictionary: Dictionary;
  readonly #options: WordOutputOptions;
  readonly #logger: Logger;
  readonly #statistics = new Map<string, WordStatistics>();
  readonly #pieceIds = new Set<number>();
  /** The loss in words. */
  readonly loss = new LossSum();
  /** What the last batch added to the loss, in order. */
  #added: number[] = [];

  /**
   * @param dictionary - names of the tokens
   * @param logger - receives the lines
   * @param options - which lines
   */
  constructor(dictionary: Dictionary, logger: Logger, options: WordOutputOptions) {
    this.#dictionary = dictionary;
    this.#logger = logger;
    this.#options = options;
    const { pieceMark } = options;
    if (pieceMark === undefined) return;
    for (let id = 0; id < dictionary.size; id++) {
      if (dictionary.symbol(id).endsWith(pieceMark)) this.#pieceIds.add(id);
    }
  }

  /** Takes one batch with its final log-probabilities `[tokens]`. */
  readonly add = (batch: ScoredBatch, logProbs: Float64Array): void => {
    this.#added = [];
    for (const { sampleId, begin, end } of batch.samples) {
      this.#addSample(sampleId, batch.tokens.subarray(begin, end), logProbs.slice(begin, end));
    }
  };

  /** Takes one batch as {@link add} does, and gives what it adds to the loss. */
  readonly scores = (batch: ScoredBatch, logProbs: Float64Array): Float64Array => {
    this.add(batch, logProbs);
    return Float64Array.from(this.#added);
  };

  /** Logs the statistics, the most frequent words first. */
  logStatistics(): void {
    if (!this.#options.wordStats) return;
    // Python's sort is stable too: words of the same count stay in the order of their first occurrence.
    const sorted = [...this.#statistics.values()].sort((a, b) => b.count - a.count);
    for (const s of sorted) {
      const fields = [
        s.word,
        s.count,
        s.logProb,
        s.hasPieces ? 'True' : 'False',
        s.nextWordProb,
        s.count - s.missingNextWords,
      ];
      this.#logger.info(fields.map(pythonNumber).join('\t'));
    }
  }

  #addSample(sampleId: number, tokens: Int32Array, scores: Float64Array): void {
    for (let i = 0; i < tokens.length; i++) {
      const isPiece = i < tokens.length - 1 && this.#pieceIds.has(tokens[i]);
      if (isPiece) {
        scores[i + 1] += scores[i];
        scores[i] = 0;
      }
      this.loss.add(scores[i], isPiece ? 0 : 1);
      if (!isPiece) this.#added.push(scores[i]);
    }
    const { wordProbs, wordStats } = this.#options;
    if (!wordProbs && !wordStats) return;
    const words = this.#words(tokens, scores);
    if (wordStats) for (const [i, word] of words.entries()) this.#count(word, words[i + 1]?.score);
    if (wordProbs) {
      this.#logger.info(
        `${sampleId} ${words.map(({ text, score }) => `${text} [${score.toFixed(6)}]`).join('\t')}`,
      );
    }
  }

  #words(tokens: Int32Array, scores: Float64Array): Word[] {
    const words: Word[] = [];
    let text = '';
    let hasPieces = false;
    for (let i = 0; i < tokens.length; i++) {
      text += this.#dictionary.symbol(tokens[i]);
      if (this.#pieceIds.has(tokens[i])) {
        text = text.slice(0, -(this.#options.pieceMark as string).length);
        hasPieces = true;
        continue;
      }
      words.push({ text, score: scores[i], hasPieces });
      text = '';
      hasPieces = false;
    }
    return words;
  }

  #count(word: Word, nextScore: number | undefined): void {
    let statistics = this.#statistics.get(word.text);
    if (statistics === undefined) {
      const { text, hasPieces } = word;
      statistics = { word: text, hasPieces, count: 0, logProb: 0, nextWordProb: 0, missingNextWords: 0 };
      this.#statistics.set(text, statistics);
    }
    statistics.count++;
    statistics.logProb += word.score;
    if (nextScore === undefined) statistics.missingNextWords++;
    else statistics.nextWordProb += nextScore;
  }
}

interface Word {
  readonly text: string;
  readonly score: number;
  readonly hasPieces: boolean;
}

/** Python prints a float that is whole with `.0`. */
function pythonNumber(value: string | number, column: number): string {
  const isFloat = column === 2 || column === 4;
  return typeof value === 'number' && isFloat && Number.isInteger(value) ? value.toFixed(1) : String(value);
}
