import type { Dictionary, TokenDecoder } from '@knn-lm/binarizer';
import type { GeneratedToken } from '@knn-lm/knn-lm';
import { printable } from '../terminal/fit.js';
import { formatTable } from '../terminal/table.js';

/** Rows of the list of decided tokens at most. */
const mostRows = 40;

/**
 * How a token is shown while the text grows: the end of a line begins a new one, other tokens follow a space; with
 * `explain` those that the neighbours decided stand in brackets.
 *
 * @param generated - the token
 * @param dictionary - gives its symbol
 * @param explain - whether to mark it
 */
export function tokenText(generated: GeneratedToken, dictionary: Dictionary, explain: boolean): string {
  const marked = explain && generated.decidedByNeighbors;
  const symbol = printable(dictionary.symbol(generated.token));
  if (symbol === lineEnd) return marked ? ` [${lineEnd}]\n` : '\n';
  return marked ? ` [${symbol}]` : ` ${symbol}`;
}

const lineEnd = '</s>';

/** Stands at the end of a text whose last character is not complete yet. */
const incomplete = '\uFFFD';

/**
 * The same for data that were made with a tokenizer, whose tokens are pieces of words and characters.
 *
 * @param tokenizer - of the data
 * @param prompt - what the text begins with: pieces are decoded behind it, as their spaces depend on it
 * @param explain - whether to mark what the neighbours decided
 * @returns the text that a token adds; empty while a character is not complete
 */
export function pieceStream(
  tokenizer: TokenDecoder,
  prompt: Int32Array,
  explain: boolean,
): (generated: GeneratedToken) => string {
  const ids = [...prompt];
  let shown = tokenizer.decode(prompt);
  return ({ token, decidedByNeighbors }) => {
    ids.push(token);
    const text = tokenizer.decode(Int32Array.from(ids));
    if (text.endsWith(incomplete)) return '';
    const piece = text.slice(shown.length);
    shown = text;
    return explain && decidedByNeighbors ? `[${piece}]` : piece;
  };
}

/**
 * The tokens that the neighbours decided, with what the model alone would have taken.
 *
 * @param tokens - all tokens of the continuation
 * @param dictionary - gives their symbols
 * @param sampled - whether they were drawn at random
 */
export function explanation(
  tokens: readonly GeneratedToken[],
  dictionary: Dictionary,
  sampled: boolean,
): string {
  const decided = tokens.flatMap((token, i) =>
    token.decidedByNeighbors ? [{ ...token, number: i + 1 }] : [],
  );
  const alone = sampled
    ? 'would have drawn another with the same random numbers'
    : 'would have taken another';
  const summary = `${decided.length} of ${tokens.length} tokens were decided by the neighbours: the model alone ${alone}\n`;
  if (decided.length === 0) return summary;
  const symbol = (id: number) => printable(dictionary.symbol(id));
  const table = formatTable(
    [
      { head: 'no.', align: 'right' },
      { head: 'token' },
      { head: 'alone' },
      ...['p', 'p_LM', 'p_kNN', 'lambda'].map((head) => ({ head, align: 'right' as const })),
    ],
    decided
      .slice(0, mostRows)
      .map(({ number, token, lmToken, logProb, lmLogProb, knnProb, lambda }) => [
        ...[number, symbol(token), symbol(lmToken)],
        ...[Math.exp(logProb), Math.exp(lmLogProb), knnProb].map((prob) => prob.toFixed(4)),
        lambda.toFixed(2),
      ]),
  );
  const rest = decided.length > mostRows ? `and ${decided.length - mostRows} more\n` : '';
  return `${table}\n${rest}${summary}`;
}

/** A token for programs. */
export function tokenResult(generated: GeneratedToken, dictionary: Dictionary) {
  const { token, logProb, lmLogProb, knnProb, lambda, neighbors, lmToken, decidedByNeighbors } = generated;
  const found = Array.from(neighbors?.ids ?? []).filter((id) => id >= 0).length;
  return {
    ...{ id: token, symbol: dictionary.symbol(token) },
    ...{ log_prob: finite(logProb), lm_log_prob: finite(lmLogProb), knn_prob: knnProb, lambda },
    neighbors: found,
    nearest_distance:
      neighbors === undefined || found === 0 ? null : finite(Math.min(...neighbors.distances)),
    ...{ lm_id: lmToken, lm_symbol: dictionary.symbol(lmToken), decided_by_neighbors: decidedByNeighbors },
  };
}

/** JSON has no infinity. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
