import { describe, expect, it } from 'vitest';
import { madeUpStatistics } from '../test/support/reports.js';
import { madeUpRun, makeBatch, makeWords, SyntheticText } from '../test/support/synthetic.js';
import { ReportCollector } from './collector.js';
import { renderReport } from './page/render-report.js';
import type { ReportBatch } from './collector.js';

/** The page of a text of any length stays below this. */
const mostPageBytes = 4 * 2 ** 20;

const blockSize = 500;
const batchTokens = 4000;
const words = makeWords(20_000);
const settings = { k: 8, lambda: 0.3, temperature: 5, blockSize };
/** Few settings are tried, which is what takes the time; the others only add cells. */
const grid = { lambdas: [0.25, 0.5], temperatureOctaves: 1 };

/** Long words and long contexts: what makes a page large. */
const longWords = { ...words, symbol: (id: number) => `${words.symbol(id)}-${'é'.repeat(200)}` };

/**
 * Evaluates a text of made-up tokens. One batch is made and its places are moved along the text: making up a million
 * tokens would take longer than reporting them.
 */
function report(tokens: number, sentencesPerDocument: number) {
  const text = new SyntheticText(words, tokens / 25, sentencesPerDocument);
  const { batch, logProbs, knnProbs } = makeBatch({ words, text, ...settings }, 0, batchTokens);
  const collector = new ReportCollector({ words: longWords, text, ...settings, ...grid });
  for (let start = 0; start < tokens; start += batchTokens) {
    const moved: ReportBatch = { ...batch, textPositions: batch.textPositions.map((place) => start + place) };
    // The model gets better along the text, so that new passages are the best again and again.
    const better = logProbs.map((logProb) => logProb - (start / tokens) * 0.5);
    collector.add(moved, better, knnProbs);
  }
  const long = Array.from({ length: 40 }, (_, i) => 100 + i);
  return collector.finish({
    run: madeUpRun,
    index: { statistics: madeUpStatistics, note: undefined },
    contextOf: () => ({ before: long, after: long }),
  });
}

describe('a report of a million tokens', () => {
  it('is a page of a few megabytes, whatever the words are', { timeout: 240_000 }, () => {
    // Some 13,300 documents, more than are kept apart.
    const data = report(1_000_000, 3);
    expect(data.totals.tokens).toBe(1_000_000);
    expect(data.documents).toMatchObject({ groupSize: 4, complete: false });
    expect(data.passages.reduce((sum, { tokens }) => sum + tokens.length, 0)).toBeLessThanOrEqual(9 * 128);
    const page = Buffer.byteLength(renderReport(data));
    expect(page).toBeLessThan(mostPageBytes);
    const tenth = Buffer.byteLength(renderReport(report(100_000, 3)));
    expect(Math.abs(page - tenth) / tenth).toBeLessThan(0.1);
  });
});
