import * as Plot from '@observablehq/plot';
import { count } from '../numbers.js';
import type { GridPoint, SettingsGrid } from '../report-data.js';
import { below, beside, linesAcross } from './axes.js';
import { chart } from './chart.js';
import type { Markup } from './html.js';

/** Perplexity by k: with the run’s own settings (full line), with the best (dashed), and of the model alone (dotted). */
export function kCurve(
  label: string,
  { ks, chosenByK, bestByK }: SettingsGrid,
  lmPerplexity: number,
): Markup {
  return chart(label, (size) => ({
    height: 260,
    marginLeft: 48,
    marginBottom: 44,
    marginTop: 28,
    marginRight: 30,
    x: {
      type: 'log',
      base: 2,
      ...below('Neighbours (logarithmic)'),
      ticks: ks.filter((_, i) => (ks.length - 1 - i) % (size === 'narrow' ? 3 : 1) === 0),
      tickFormat: (k: number) => count(k),
    },
    y: beside('Perplexity'),
    marks: [
      linesAcross(),
      Plot.ruleY([lmPerplexity], { stroke: 'var(--muted)', strokeDasharray: '2 3', strokeWidth: 2 }),
      ...line(chosenByK, 'var(--help)', undefined),
      ...line(bestByK, 'var(--hurt)', '6 3'),
    ],
  }));
}

function line(points: readonly GridPoint[], stroke: string, dash: string | undefined): Plot.Markish[] {
  return [
    Plot.lineY(points, {
      x: 'k',
      y: 'perplexity',
      stroke,
      strokeWidth: 2,
      ...(dash === undefined ? {} : { strokeDasharray: dash }),
    }),
    Plot.dot(points, { x: 'k', y: 'perplexity', fill: stroke, r: dash === undefined ? 3 : 2 }),
  ];
}
