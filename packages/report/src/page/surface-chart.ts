import * as Plot from '@observablehq/plot';
import { shortNumber } from '../numbers.js';
import type { ReportData, SettingsGrid } from '../report-data.js';
import { below } from './axes.js';
import { chart } from './chart.js';
import type { Markup } from './html.js';

/** Classes of how much higher a perplexity is than the lowest; each has a colour of the page. */
export const surfaceLevels: readonly { readonly below: number; readonly name: string }[] = [
  { below: 1.01, name: 'within 1 % of the lowest' },
  { below: 1.02, name: '2 %' },
  { below: 1.05, name: '5 %' },
  { below: 1.1, name: '10 %' },
  { below: 1.2, name: '20 %' },
  { below: 1.5, name: '50 %' },
  { below: Infinity, name: 'more' },
];

interface Cell {
  readonly lambda: number;
  readonly temperature: number;
  readonly level: number;
  readonly mark: string;
}

/** A cell for each combination, darker the farther from the best; the best and the run’s own have marks. */
export function surfaceChart(label: string, grid: SettingsGrid, settings: ReportData['settings']): Markup {
  const cells = cellsOf(grid, settings);
  const { lambdas, temperatures } = grid;
  return chart(label, (size) => ({
    height: temperatures.length * 24 + 60,
    marginLeft: 52,
    marginBottom: 44,
    marginTop: 24,
    marginRight: 8,
    padding: 0.06,
    x: {
      type: 'band',
      domain: lambdas,
      ...below('Lambda'),
      tickSize: 0,
      tickFormat: (lambda: number, i: number) =>
        i % (size === 'narrow' ? 4 : 2) === 1 ? String(lambda) : '',
    },
    y: {
      type: 'band',
      domain: [...temperatures].reverse(),
      label: 'Temperature',
      labelArrow: 'none',
      tickSize: 0,
      tickFormat: shortNumber,
    },
    marks: [
      Plot.cell(cells, { x: 'lambda', y: 'temperature', fill: ({ level }: Cell) => `var(--s${level})` }),
      Plot.text(
        cells.filter(({ mark }) => mark !== ''),
        {
          x: 'lambda',
          y: 'temperature',
          text: 'mark',
          fill: ({ level }: Cell) => `var(--on-s${level})`,
          fontSize: 15,
        },
      ),
    ],
  }));
}

function cellsOf(
  { surface, temperatures, lambdas, best }: SettingsGrid,
  settings: ReportData['settings'],
): Cell[] {
  const lowest = best.perplexity ?? Infinity;
  return temperatures.flatMap((temperature, row) =>
    lambdas.map((lambda, column) => {
      const ratio = (surface[row][column] ?? Infinity) / lowest;
      const isBest = best.lambda === lambda && best.temperature === temperature;
      const isOwn = settings.lambda === lambda && settings.temperature === temperature;
      return {
        lambda,
        temperature,
        level: Math.max(
          0,
          surfaceLevels.findIndex(({ below }) => ratio < below || below === Infinity),
        ),
        mark: isBest ? '★' : isOwn ? '●' : '',
      };
    }),
  );
}
