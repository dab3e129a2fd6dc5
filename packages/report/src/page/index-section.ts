import * as Plot from '@observablehq/plot';
import type { IndexStatistics, MeasuredRecall } from '@knn-lm/index';
import { count, percent, shortNumber } from '../numbers.js';
import type { HistogramBin, ReportData } from '../report-data.js';
import { below, beside, linesAcross, zeroLine } from './axes.js';
import { barChart } from './bar-chart.js';
import { chart } from './chart.js';
import { figure } from './figure.js';
import { distanceHistogram } from './histograms.js';
import { markup, type Markup } from './html.js';
import { table } from './table.js';

/** How far the neighbours are, and how good the index is that found them. */
export function indexSection(data: ReportData): Markup {
  const { statistics, note } = data.index;
  return markup`<section id="index" aria-labelledby="index-title">
<h2 id="index-title">Distances and the index</h2>
${statistics === undefined ? undefined : markup`<p>${statistics.description}.</p>`}
${note === undefined ? undefined : markup`<p>${note}</p>`}
<div class="figures">
${distancesFigure(data)}
${statistics === undefined ? undefined : indexFigures(statistics)}
</div>
</section>`;
}

function distancesFigure({ distances: { nearest, farthest, none } }: ReportData): Markup {
  const id = 'distances';
  const title = 'How far the neighbours are';
  if (nearest.length === 0) return figure({ id, title, text: 'No neighbour was found for any token.' });
  const missing = none === 0 ? '' : ` For ${count(none)} tokens no neighbour was found.`;
  const text = `Half of the tokens have a neighbour within ${median(nearest)}; the farthest neighbour of half of them is within ${median(farthest)}.${missing}`;
  const rows = [
    ...nearest.map((bin) => ({ bin, which: 'nearest' })),
    ...farthest.map((bin) => ({ bin, which: 'farthest' })),
  ];
  return figure({
    id,
    title,
    text,
    chart: distanceHistogram(
      `Histograms of the squared distance of the nearest and the farthest neighbour. ${text}`,
      nearest,
      farthest,
    ),
    table: table<(typeof rows)[number]>(
      title,
      [
        {
          head: 'Squared distance',
          cell: ({ bin }) => `${shortNumber(bin.from ?? 0)} to ${shortNumber(bin.to ?? 0)}`,
        },
        { head: 'Neighbour', cell: ({ which }) => which, isText: true },
        { head: 'Tokens', cell: ({ bin }) => count(bin.count) },
      ],
      rows,
    ),
  });
}

/** Upper end of the class in which half of the values are reached. */
function median(bins: readonly HistogramBin[]): string {
  const total = bins.reduce((sum, bin) => sum + bin.count, 0);
  let seen = 0;
  for (const bin of bins) {
    seen += bin.count;
    if (2 * seen >= total) return shortNumber(bin.to ?? Infinity);
  }
  return 'none';
}

function indexFigures(statistics: IndexStatistics): Markup {
  return markup`${statistics.recall.length === 0 ? undefined : recallFigure(statistics)}${listsFigure(statistics)}`;
}

function recallFigure({ recall, queries }: IndexStatistics): Markup {
  const title = 'What the index finds';
  const ks = recall[0].recalls.map(([k]) => k);
  const last = recall[recall.length - 1];
  const text = markup`Recall: the part of the exact k nearest neighbours that is among the k found, for ${count(queries)} keys of the
datastore drawn at random. Visiting more lists (nprobe) finds more and takes longer; what is missing at the right end is
lost by the compression of the keys.`;
  const hasLists = last.nprobe !== undefined && recall.length > 1;
  const label = `Recall by the number of lists visited. With ${last.nprobe ?? 'all'} lists: ${last.recalls.map(([k, part]) => `recall at ${k} ${part.toFixed(3)}`).join(', ')}.`;
  return figure({
    id: 'recall',
    title,
    text,
    chart: hasLists
      ? recallChart(label, recall)
      : barChart(
          label,
          last.recalls.map(([k, part]) => ({ label: `k = ${count(k)}`, value: part, text: part.toFixed(3) })),
          'Recall',
        ),
    table: table<MeasuredRecall>(
      title,
      [
        { head: 'nprobe', cell: ({ nprobe }) => nprobe ?? 'none' },
        ...ks.map((k, i) => ({
          head: `Recall at ${count(k)}`,
          cell: (row: MeasuredRecall) => row.recalls[i][1].toFixed(3),
        })),
        { head: 'Milliseconds a query', cell: ({ millisecondsPerQuery }) => millisecondsPerQuery.toFixed(2) },
      ],
      recall,
    ),
  });
}

const dashes = ['', '6 3', '2 3', '8 3 2 3'];
const symbols = ['circle', 'square', 'triangle', 'diamond'] as const;

function recallChart(label: string, recall: readonly MeasuredRecall[]): Markup {
  const nprobes = recall.map(({ nprobe }) => nprobe ?? 0);
  const series = recall[0].recalls.map(([k], i) => ({
    k,
    points: recall.map((row) => ({ nprobe: row.nprobe ?? 0, part: row.recalls[i][1] })),
  }));
  // Lines often end close together: their names are kept a line apart.
  const ends = spread(series.map(({ points }) => points[points.length - 1].part));
  return chart(label, () => ({
    height: 250,
    marginLeft: 44,
    marginRight: 74,
    marginBottom: 44,
    marginTop: 24,
    x: {
      type: 'point',
      domain: nprobes,
      ...below('Lists visited (nprobe)'),
    },
    y: { ...beside('Recall'), domain: [0, 1] },
    marks: [
      linesAcross(),
      ...series.flatMap(({ k, points }, i) => [
        Plot.lineY(points, {
          x: 'nprobe',
          y: 'part',
          stroke: 'var(--help)',
          strokeWidth: 2,
          ...(dashes[i % 4] === '' ? {} : { strokeDasharray: dashes[i % 4] }),
        }),
        Plot.dot(points, { x: 'nprobe', y: 'part', symbol: symbols[i % 4], fill: 'var(--help)', r: 4 }),
        Plot.text([ends[i]], {
          x: () => nprobes[nprobes.length - 1],
          y: (y: number) => y,
          text: () => `k = ${count(k)}`,
          textAnchor: 'start',
          dx: 9,
        }),
      ]),
      zeroLine(),
    ],
  }));
}

/** Moves values apart, to at least 0.08 from each other, keeping their order. */
function spread(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((a, b) => values[b] - values[a]);
  const moved = [...values];
  for (const [rank, i] of order.entries()) {
    if (rank > 0) moved[i] = Math.min(values[i], moved[order[rank - 1]] - 0.08);
  }
  return moved;
}

function listsFigure({ lists, size }: IndexStatistics): Markup {
  const id = 'lists';
  const title = 'How even the lists are';
  if (lists === undefined) {
    return figure({
      id,
      title,
      text: `The index has no lists: every search looks at all ${count(size)} keys.`,
    });
  }
  const { empty, mean, imbalance, percentiles } = lists;
  const text = `${count(lists.lists)} lists of ${shortNumber(mean)} keys on average (dashed), ${count(empty)} of them empty. Imbalance ${imbalance.toFixed(2)}: a search looks at that many times as many keys as with lists of equal size.`;
  return figure({
    id,
    title,
    text,
    chart: barChart(
      `Sizes of the lists: least ${count(percentiles[0][1])}, most ${count(percentiles[percentiles.length - 1][1])}. ${text}`,
      percentiles.map(([part, keys]) => ({ label: percentileName(part), value: keys, text: count(keys) })),
      'Keys in a list',
      mean,
    ),
    table: table<readonly [number, number]>(
      title,
      [
        { head: 'Lists', cell: ([part]) => percentileName(part) },
        { head: 'Keys', cell: ([, keys]) => count(keys) },
      ],
      percentiles,
    ),
  });
}

function percentileName(part: number): string {
  if (part === 0) return 'smallest';
  if (part === 100) return 'largest';
  return part === 50 ? 'median' : `${percent(part / 100, 0)} have at most`;
}
