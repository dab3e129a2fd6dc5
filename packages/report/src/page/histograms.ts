import * as Plot from '@observablehq/plot';
import { shortNumber } from '../numbers.js';
import type { HistogramBin } from '../report-data.js';
import { below, linesAcross, shareOfTokens, zeroLine } from './axes.js';
import { chart } from './chart.js';
import type { Markup } from './html.js';

const gainWidth = 0.25;

/** Columns of the share of tokens at each gain; what lies beyond an end is drawn as one column more. */
export function gainHistogram(label: string, bins: readonly HistogramBin[], tokens: number): Markup {
  const columns = bins.map(({ from, to, count }) => ({
    x1: from ?? (to ?? 0) - gainWidth,
    x2: to ?? (from ?? 0) + gainWidth,
    share: count / tokens,
  }));
  return chart(label, (size) => ({
    height: 230,
    marginLeft: 48,
    marginBottom: 44,
    x: {
      ...below('Gain in bits'),
      ticks: size === 'narrow' ? 6 : 10,
    },
    y: shareOfTokens,
    marks: [
      linesAcross(),
      Plot.rectY(columns, {
        x1: 'x1',
        x2: 'x2',
        y: 'share',
        fill: ({ x1, x2 }: { x1: number; x2: number }) => (x1 + x2 < 0 ? 'var(--hurt)' : 'var(--help)'),
        inset: 0.3,
      }),
      zeroLine(),
      Plot.ruleX([0], { stroke: 'var(--text)' }),
    ],
  }));
}

interface Step {
  readonly distance: number;
  readonly share: number;
}

/** The outlines of the two histograms of distances; a full and a dashed line, each with its name. */
export function distanceHistogram(
  label: string,
  nearest: readonly HistogramBin[],
  farthest: readonly HistogramBin[],
): Markup {
  const series = [
    { name: 'nearest', steps: outline(nearest), stroke: 'var(--help)', dash: undefined },
    { name: 'farthest', steps: outline(farthest), stroke: 'var(--hurt)', dash: '6 3' },
  ];
  return chart(label, (size) => ({
    height: 240,
    marginLeft: 48,
    marginBottom: 44,
    marginTop: 28,
    x: {
      type: 'log',
      ...below('Squared distance (logarithmic)'),
      ticks: size === 'narrow' ? 4 : 8,
      tickFormat: shortNumber,
    },
    y: shareOfTokens,
    marks: [
      linesAcross(),
      ...series.flatMap(({ name, steps, stroke, dash }) => [
        Plot.lineY(steps, {
          x: 'distance',
          y: 'share',
          curve: 'step-after',
          stroke,
          strokeWidth: 2,
          ...(dash === undefined ? {} : { strokeDasharray: dash }),
        }),
        Plot.text(peak(steps), { x: 'distance', y: 'share', text: () => name, dy: -10, fill: 'var(--text)' }),
      ]),
      zeroLine(),
    ],
  }));
}

/** Corners of a histogram's outline, from 0 to 0; a class that begins at distance 0 has no place on a logarithmic scale. */
function outline(bins: readonly HistogramBin[]): Step[] {
  if (bins.length === 0) return [];
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  const begin = ({ from, to }: HistogramBin) => (from !== null && from > 0 ? from : (to ?? 1) / 1.2);
  const first = begin(bins[0]);
  const last = bins[bins.length - 1].to ?? first;
  return [
    { distance: first, share: 0 },
    ...bins.map((bin) => ({ distance: begin(bin), share: bin.count / total })),
    { distance: last, share: 0 },
  ];
}

function peak(steps: readonly Step[]): Step[] {
  if (steps.length === 0) return [];
  return [steps.reduce((best, step) => (step.share > best.share ? step : best))];
}
