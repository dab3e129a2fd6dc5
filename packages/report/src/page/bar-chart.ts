import * as Plot from '@observablehq/plot';
import { signed } from '../numbers.js';
import { below } from './axes.js';
import { chart, widths, type Size } from './chart.js';
import type { Markup } from './html.js';

/** One bar. */
export interface Bar {
  /** Its name. */
  readonly label: string;
  /** Its length; a negative one goes to the left. */
  readonly value: number;
  /** What is written at its end. */
  readonly text?: string | undefined;
}

const rowHeight = 22;
const characterWidth = 7;
const longestLabel = { narrow: 15, wide: 30 };

/**
 * Horizontal bars from 0, one a row: names of any length can be read, also on a phone. Direction tells gain from loss;
 * the colour only repeats it.
 *
 * @param label - what a screen reader says instead
 * @param bars - from top to bottom
 * @param axis - name of the lengths
 * @param rule - a value to compare with, drawn as a dashed line
 */
export function barChart(label: string, bars: readonly Bar[], axis: string, rule?: number): Markup {
  return chart(label, (size) => {
    const names = bars.map((bar) => cut(bar.label, size));
    const longest = Math.max(...names.map((name) => name.length));
    const lowest = Math.min(0, ...bars.map(({ value }) => value));
    const highest = Math.max(0, ...bars.map(({ value }) => value));
    const marginLeft = Math.ceil(longest * characterWidth) + 12;
    // Room for the numbers at the ends of the bars.
    const room = ((highest - lowest) * 44) / (widths[size] - marginLeft - 24);
    return {
      height: bars.length * rowHeight + 58,
      marginLeft,
      marginTop: 6,
      marginBottom: 44,
      x: {
        ...below(axis),
        ticks: size === 'narrow' ? 4 : 6,
        domain: [lowest < 0 ? lowest - room : 0, highest > 0 ? highest + room : room],
      },
      y: { domain: names.map((_, i) => i), tickFormat: (i: number) => names[i], tickSize: 0, label: null },
      marks: [
        Plot.gridX({ stroke: 'var(--line)', strokeOpacity: 1, ticks: size === 'narrow' ? 4 : 6 }),
        Plot.barX(bars, {
          y: (_, i) => i,
          x: 'value',
          fill: (bar: Bar) => (bar.value < 0 ? 'var(--hurt)' : 'var(--help)'),
          insetTop: 3,
          insetBottom: 3,
        }),
        Plot.text(bars, {
          y: (_, i) => i,
          x: 'value',
          text: (bar: Bar) => bar.text ?? signed(bar.value),
          filter: (bar: Bar) => bar.value >= 0,
          textAnchor: 'start',
          dx: 4,
        }),
        Plot.text(bars, {
          y: (_, i) => i,
          x: 'value',
          text: (bar: Bar) => bar.text ?? signed(bar.value),
          filter: (bar: Bar) => bar.value < 0,
          textAnchor: 'end',
          dx: -4,
        }),
        Plot.ruleX([0], { stroke: 'var(--text)' }),
        ...(rule === undefined
          ? []
          : [Plot.ruleX([rule], { stroke: 'var(--muted)', strokeDasharray: '4 3' })]),
      ],
    };
  });
}

/** A long name without its middle: the names of documents often begin alike. */
function cut(label: string, size: Size): string {
  const half = (longestLabel[size] - 1) / 2;
  if (label.length <= longestLabel[size]) return label;
  return `${label.slice(0, Math.ceil(half))}…${label.slice(-Math.floor(half))}`;
}
