import { count, percent, perplexityText, shortNumber } from '../numbers.js';
import type { GridPoint, ReportData, SettingsGrid } from '../report-data.js';
import { perplexities } from './overview.js';
import { figure } from './figure.js';
import { markup, type Markup } from './html.js';
import { kCurve } from './k-curve.js';
import { surfaceChart, surfaceLevels } from './surface-chart.js';
import { table } from './table.js';

/** What other settings would have given. */
export function settingsSection(data: ReportData): Markup {
  return markup`<section id="settings" aria-labelledby="settings-title">
<h2 id="settings-title">Lambda, temperature and k</h2>
<p>Computed exactly for this text, from the neighbours that were retrieved. Settings are to be chosen on another text than
the one they are judged on: on a test split this shows how far the chosen ones are from the best, not which to use.</p>
<div class="figures">
${surfaceFigure(data)}
${kFigure(data)}
</div>
</section>`;
}

function surfaceFigure({ grid, settings, totals }: ReportData): Markup {
  const { best, temperatures, lambdas, surface } = grid;
  const own = perplexities(totals).mixed;
  const text = markup`Lowest: ${perplexityText(best.perplexity)} with lambda ${best.lambda} and temperature ${shortNumber(best.temperature)}
(★); ${ownText(grid, settings, own)}. Temperatures are powers of two apart.`;
  return figure({
    id: 'surface',
    title: 'Perplexity by lambda and temperature',
    text,
    chart: surfaceChart(
      `Heat map of the perplexity by lambda and temperature. Lowest: ${perplexityText(best.perplexity)} with lambda ${best.lambda} and temperature ${shortNumber(best.temperature)}.`,
      grid,
      settings,
    ),
    legend: markup`<ul class="legend">${surfaceLevels.map(({ name }, i) => markup`<li><span class="swatch s${i}"></span> ${name}</li>`)}</ul>`,
    table: table<number>(
      'Perplexity by temperature (rows) and lambda (columns)',
      [
        { head: 'Temperature', cell: (row) => shortNumber(temperatures[row]) },
        ...lambdas.map((lambda, i) => ({
          head: String(lambda),
          cell: (row: number) => perplexityText(surface[row][i]),
        })),
      ],
      [...temperatures.keys()],
    ),
  });
}

/** Where the run's own settings stand; they are not on the surface where lambda is 0, 1 or different for each token. */
function ownText(
  { best, lambdas }: SettingsGrid,
  { lambda, temperature }: ReportData['settings'],
  own: number,
): string {
  if (lambda === best.lambda && temperature === best.temperature) return 'these are this run’s own settings';
  const mark = lambda !== null && lambdas.includes(lambda) ? ' (●)' : '';
  const more = own / (best.perplexity ?? own) - 1;
  const difference = more < 0 ? `, ${percent(-more)} less` : `, ${percent(more)} more`;
  return `this run’s own settings${mark} give ${perplexityText(own)}${difference}`;
}

/** The lines of the chart, by their classes in the style sheet. */
const kLines: readonly (readonly [kind: string, name: string])[] = [
  ['full', 'this run’s settings'],
  ['dashed', 'the best settings for each k'],
  ['dotted', 'the model alone'],
];

function kFigure({ grid, totals }: ReportData): Markup {
  const lm = perplexities(totals).lm;
  const text = kText(grid);
  return figure({
    id: 'k-curve',
    title: 'Perplexity by k, the number of neighbours',
    text,
    legend: markup`<ul class="legend">${kLines
      .slice(grid.chosenByK.length === 0 ? 1 : 0)
      .map(([kind, name]) => markup`<li><span class="key ${kind}"></span> ${name}</li>`)}</ul>`,
    chart: kCurve(`Curve of the perplexity by k. ${text}`, grid, lm),
    table: table<number>(
      'Perplexity by k, the number of neighbours',
      [
        { head: 'k', cell: (i) => count(grid.ks[i]) },
        ...(grid.chosenByK.length === 0
          ? []
          : [
              {
                head: 'This run’s settings',
                cell: (i: number) => perplexityText(grid.chosenByK[i].perplexity),
              },
            ]),
        { head: 'Best settings', cell: (i) => perplexityText(grid.bestByK[i].perplexity) },
        { head: 'Lambda', cell: (i) => grid.bestByK[i].lambda },
        { head: 'Temperature', cell: (i) => shortNumber(grid.bestByK[i].temperature) },
      ],
      [...grid.ks.keys()],
    ),
  });
}

function kText({ bestByK }: SettingsGrid): string {
  const last = bestByK[bestByK.length - 1];
  const half = bestByK.find((point) => point.k * 2 === last.k);
  if (half === undefined) return 'The more neighbours, the more of the text they know.';
  return `Doubling k from ${count(half.k)} to ${count(last.k)} changes the best perplexity from ${textOf(half)} to ${textOf(last)}: ${
    (half.perplexity ?? 0) > (last.perplexity ?? 0) * 1.01
      ? 'more neighbours may still help.'
      : 'more neighbours will hardly help.'
  }`;
}

function textOf({ perplexity }: GridPoint): string {
  return perplexityText(perplexity);
}
