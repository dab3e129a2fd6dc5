import { describe, expect, it } from 'vitest';
import { interpolate, knnProbability, LossSum } from '@knn-lm/knn-lm';
import { makeReport, syntheticRun } from '../test/support/reports.js';
import { madeUpRun, makeBatch } from '../test/support/synthetic.js';
import { ReportCollector } from './collector.js';
import type { TokenGroup } from './report-data.js';

const run = syntheticRun(100);
const { batch, logProbs, knnProbs } = makeBatch(run, 0, 2500);

/** The report of one batch, however it is cut. */
function reportOf(pieces: number) {
  const collector = new ReportCollector(run);
  const size = 2500 / pieces;
  for (let begin = 0; begin < 2500; begin += size) {
    const part = makeBatchPart(begin, begin + size);
    collector.add(part.batch, part.logProbs, part.knnProbs);
  }
  return collector.finish({ run: madeUpRun });
}

function makeBatchPart(begin: number, end: number) {
  const { k, ids, distances, values } = batch.neighbors;
  return {
    batch: {
      samples: batch.samples
        .filter((sample) => sample.begin >= begin && sample.end <= end)
        .map((sample) => ({ ...sample, begin: sample.begin - begin, end: sample.end - begin })),
      tokens: batch.tokens.slice(begin, end),
      textPositions: batch.textPositions.slice(begin, end),
      lmLogProbs: batch.lmLogProbs.slice(begin, end),
      neighbors: {
        k,
        ids: ids.slice(begin * k, end * k),
        distances: distances.slice(begin * k, end * k),
        values: values.slice(begin * k, end * k),
      },
    },
    logProbs: logProbs.slice(begin, end),
    knnProbs: knnProbs.slice(begin, end),
  };
}

function perplexity(lambda: number, temperature: number, k: number): number {
  const loss = new LossSum();
  for (const [i, token] of batch.tokens.entries()) {
    loss.add(
      interpolate(batch.lmLogProbs[i], knnProbability(batch.neighbors, i, token, temperature, k), lambda),
    );
  }
  return loss.result().perplexity;
}

describe('ReportCollector', () => {
  const data = reportOf(1);

  it('gives the perplexities of the evaluation', () => {
    const { tokens, lmBits, mixedBits, helped } = data.totals;
    expect(tokens).toBe(2500);
    expect(2 ** (mixedBits / tokens)).toBeCloseTo(perplexity(run.lambda, run.temperature, run.k), 9);
    expect(2 ** (lmBits / tokens)).toBeCloseTo(perplexity(0, 1, 1), 9);
    expect(helped).toBe(logProbs.filter((logProb, i) => logProb > batch.lmLogProbs[i]).length);
    expect(data.unseen).toBe(knnProbs.filter((prob) => prob === 0).length);
  });

  it('divides the same tokens in every way', () => {
    const divisions: Record<string, readonly TokenGroup[]> = {
      frequency: data.byFrequency,
      probability: data.byLmProbability,
      neighbours: data.byKnnProbability,
      distance: data.byDistance,
      block: data.byBlockPosition,
      position: data.byDocumentPosition,
      document: data.documents.shown,
    };
    for (const [name, groups] of Object.entries(divisions)) {
      const sum = (of: (group: TokenGroup) => number) => groups.reduce((all, group) => all + of(group), 0);
      expect([name, sum((group) => group.tokens)]).toEqual([name, 2500]);
      expect(sum(({ lmBits }) => lmBits)).toBeCloseTo(data.totals.lmBits, 6);
      expect(sum(({ mixedBits }) => mixedBits)).toBeCloseTo(data.totals.mixedBits, 6);
      expect(groups.length).toBeGreaterThan(1);
    }
    expect(data.documents).toMatchObject({ rule: 'headings', count: 3, groupSize: 1, complete: true });
  });

  it('computes other settings exactly', () => {
    const { grid } = data;
    expect(grid.ks).toEqual([1, 2, 4, 8, 16]);
    expect(grid.temperatures).toContain(run.temperature);
    for (const [t, temperature] of grid.temperatures.entries()) {
      for (const l of [0, 5, 18]) {
        expect(grid.surface[t][l]).toBeCloseTo(perplexity(grid.lambdas[l], temperature, 16), 7);
      }
    }
    for (const point of [...grid.chosenByK, ...grid.bestByK]) {
      expect(point.perplexity).toBeCloseTo(perplexity(point.lambda, point.temperature, point.k), 7);
    }
    const all = grid.surface.flat() as number[];
    expect(grid.best.perplexity).toBe(Math.min(...all));
  });

  it('does not depend on how the text falls into batches', () => {
    expect(reportOf(5)).toEqual(data);
  });

  it('shows the passages with the highest and the lowest gain, each once', () => {
    const gains = Array.from({ length: 2500 }, (_, i) => logProbs[i] - batch.lmLogProbs[i]);
    const gainOf = (position: number, tokens: number) =>
      gains.slice(position, position + tokens).reduce((sum, gain) => sum + gain, 0);
    // Documents are 1000 tokens long: passages of 128 tokens begin anew in each.
    const windows = [0, 1000, 2000].flatMap((start) =>
      Array.from({ length: start === 2000 ? 4 : 8 }, (_, i) => {
        const position = start + i * 128;
        const end = Math.min(position + 128, start + 1000, 2500);
        return { position, gain: gainOf(position, end - position) };
      }),
    );
    const byGain = windows.sort((a, b) => b.gain - a.gain).map(({ position }) => position);
    const of = (kind: string) =>
      data.passages.filter((passage) => passage.kind === kind).map(({ position }) => position);
    expect(of('helped')).toEqual(byGain.slice(0, 3));
    expect(of('hurt')).toEqual(byGain.slice(-3).reverse());
    expect(of('random').length).toBeGreaterThan(0);
    const positions = data.passages.map(({ position }) => position);
    expect(new Set(positions).size).toBe(positions.length);
  });

  it('describes each token of a passage with its nearest neighbours and their contexts', () => {
    const [passage] = makeReport().passages;
    expect(passage.tokens).toHaveLength(128);
    for (const token of passage.tokens) {
      expect(token.neighbors).toHaveLength(8);
      const distances = token.neighbors.map(({ distance }) => distance);
      expect(distances).toEqual([...distances].sort((a, b) => a - b));
      const own = token.predictions.find(({ word }) => word === token.word);
      if (own !== undefined) expect(own.share).toBeCloseTo(token.knnProb, 9);
      const { row, before, after } = token.neighbors[0];
      expect([before, after]).toEqual([`w20 w21 w22 w${20 + (row % 400)}`, `w30 w${30 + (row % 400)}`]);
    }
  });

  it('survives JSON', () => {
    const report = makeReport();
    expect(JSON.parse(JSON.stringify(report))).toEqual(JSON.parse(JSON.stringify(structuredClone(report))));
    expect(JSON.stringify(report)).not.toContain('null,null,null');
  });

  it('leaves out tokens of probability 0, and counts them', () => {
    const collector = new ReportCollector(run);
    const changed = logProbs.slice();
    changed[7] = -Infinity;
    collector.add(batch, changed, knnProbs);
    const { totals, excluded } = collector.finish({ run: madeUpRun });
    expect([totals.tokens, excluded]).toEqual([2499, 1]);
  });

  it('counts tokens for which no neighbour was found', () => {
    const collector = new ReportCollector(run);
    const distances = batch.neighbors.distances.slice().fill(3.4028234663852886e38);
    const neighbors = { ...batch.neighbors, distances };
    collector.add({ ...batch, neighbors }, logProbs, new Float64Array(2500));
    const report = collector.finish({ run: madeUpRun });
    expect([report.distances.none, report.unseen, report.byDistance]).toEqual([2500, 2500, []]);
    expect(report.passages[0].tokens[0].neighbors).toEqual([]);
  });

  it('refuses what it cannot report', () => {
    const withoutNeighbors = { ...batch, neighbors: undefined };
    expect(() => new ReportCollector(run).add(withoutNeighbors, logProbs, undefined)).toThrow(
      expect.objectContaining({ code: 'REPORT_WITHOUT_NEIGHBORS' }) as Error,
    );
    expect(() => new ReportCollector(run).finish({ run: madeUpRun })).toThrow(
      expect.objectContaining({ code: 'REPORT_EMPTY' }) as Error,
    );
    for (const wrong of [
      { k: 0 },
      { temperature: 0 },
      { lambda: 2 },
      { lambdas: [] },
      { lambdas: [1] },
      { temperatureOctaves: 99 },
    ]) {
      expect(() => new ReportCollector({ ...run, ...wrong })).toThrow(
        expect.objectContaining({ code: 'REPORT_SETTING' }) as Error,
      );
    }
  });
});
