import type { IndexStatistics } from '@knn-lm/index';
import { ReportCollector, type PassageOptions, type ReportData } from '../../src/index.js';
import { madeUpRun, makeBatch, makeWords, SyntheticText, type SyntheticRun } from './synthetic.js';

/** A run over `sentences` sentences of 25 tokens. */
export function syntheticRun(sentences: number, sentencesPerDocument = 40): SyntheticRun {
  const words = makeWords(500);
  const text = new SyntheticText(words, sentences, sentencesPerDocument);
  return { words, text, k: 16, lambda: 0.3, temperature: 5, blockSize: 100 };
}

/** Index statistics that were not measured. */
export const madeUpStatistics: IndexStatistics = {
  description: 'IndexIVFPQ: 1000000 vectors',
  size: 1e6,
  fileBytes: 3e7,
  memoryBytes: 4e7,
  lists: {
    lists: 512,
    empty: 3,
    mean: 1953.1,
    imbalance: 1.27,
    percentiles: [
      [0, 0],
      [50, 1800],
      [100, 6000],
    ],
  },
  queries: 100,
  recall: [1, 8, 32].map((nprobe) => ({
    nprobe,
    recalls: [
      [1, 0.5 + nprobe / 100],
      [1024, 0.4 + nprobe / 80],
    ],
    millisecondsPerQuery: nprobe / 10,
  })),
};

/** A whole report of a synthetic run. */
export function makeReport(passages?: Partial<PassageOptions>): ReportData {
  const run = syntheticRun(200);
  const collector = new ReportCollector({ ...run, passages });
  for (let start = 0; start < run.text.tokenCount; start += 1000) {
    const { batch, logProbs, knnProbs } = makeBatch(run, start, Math.min(start + 1000, run.text.tokenCount));
    collector.add(batch, logProbs, knnProbs);
  }
  return collector.finish({
    run: madeUpRun,
    index: { statistics: madeUpStatistics, note: undefined },
    contextOf: (row) => ({ before: [20, 21, 22, 20 + (row % 400)], after: [30, 30 + (row % 400)] }),
  });
}
