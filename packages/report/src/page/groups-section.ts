import { gainOf } from '../document-statistics.js';
import { count, percent, perplexityText, signed } from '../numbers.js';
import type { HistogramBin, ReportData, TokenGroup } from '../report-data.js';
import { barChart } from './bar-chart.js';
import { figure } from './figure.js';
import { gainHistogram } from './histograms.js';
import { markup, type Content, type Markup } from './html.js';
import { perplexities } from './overview.js';
import { table } from './table.js';

/** Where the neighbours help and where they hurt. */
export function groupsSection(data: ReportData): Markup {
  const { documents } = data;
  return markup`<section id="where" aria-labelledby="where-title">
<h2 id="where-title">Where the neighbours help and hurt</h2>
<div class="figures">
${gainHistogramFigure(data.gains, data.totals.tokens)}
${groupFigure('by-lm', 'By the model’s own probability', data.byLmProbability, 'Probability', 'The probability that the model alone gives the right word: what it already knows the neighbours can only dilute.')}
${groupFigure('by-knn', 'By the neighbours’ probability', data.byKnnProbability, 'Probability', 'The part of the neighbours’ weight that has the right word.')}
${groupFigure('by-frequency', 'By word frequency', data.byFrequency, 'Occurrences', 'How often the word occurred in the text that the dictionary was made from.')}
${groupFigure('by-distance', 'By distance of the nearest neighbour', data.byDistance, 'Squared distance', 'Classes of about equally many tokens, from the nearest to the farthest.')}
${groupFigure('by-block', 'By position in the block', data.byBlockPosition, 'Position', 'Blocks are the pieces of text that are scored together; the first tokens of one see the least of it.')}
${groupFigure('by-position', 'By position in the document', data.byDocumentPosition, 'Position', 'Counted in tokens from the beginning of the document.')}
${groupFigure('by-document', documents.rule === 'parts' ? 'By part of the text' : 'By document', documents.shown, documents.rule === 'parts' ? 'Part' : 'Document', documentText(data))}
${wordsFigure(data)}
</div>
</section>`;
}

function documentText({ documents }: ReportData): Content {
  const { rule, complete, groupSize, shown } = documents;
  const found = {
    headings: `${count(documents.count)} documents, each with a heading.`,
    'blank lines': `${count(documents.count)} documents, with blank lines between them.`,
    parts: 'The text marks no documents; these are equal parts of it.',
  }[rule];
  const grouped = groupSize === 1 ? '' : ` They are taken ${count(groupSize)} together.`;
  return `${found}${grouped}${complete ? '' : ` The ${count(shown.length)} with the highest and the lowest gain are shown.`}`;
}

function groupFigure(
  id: string,
  title: string,
  groups: readonly TokenGroup[],
  head: string,
  text: Content,
): Markup {
  if (groups.length === 0) return figure({ id, title, text: 'There is nothing to show.' });
  return figure({
    id,
    title,
    text: markup`${text} ${extremes(groups)}`,
    chart: barChart(
      `${title}: bars of the mean gain in bits a token. ${extremes(groups)}`,
      groups.map((group) => ({ label: group.label, value: gainOf(group) })),
      'Mean gain in bits a token',
    ),
    table: groupTable(title, head, groups),
  });
}

/** The chart in a sentence. */
function extremes(groups: readonly TokenGroup[]): string {
  if (groups.length < 2) return '';
  const sorted = [...groups].sort((a, b) => gainOf(b) - gainOf(a));
  const [best, worst] = [sorted[0], sorted[sorted.length - 1]];
  return `Most: ${best.label} (${signed(gainOf(best))} bits a token); least: ${worst.label} (${signed(gainOf(worst))}).`;
}

function groupTable(title: string, head: string, groups: readonly TokenGroup[]): Markup {
  return table<TokenGroup>(
    title,
    [
      { head, cell: ({ label }) => label },
      { head: 'Tokens', cell: ({ tokens }) => count(tokens) },
      { head: 'Perplexity alone', cell: (group) => perplexityText(perplexities(group).lm) },
      { head: 'With neighbours', cell: (group) => perplexityText(perplexities(group).mixed) },
      { head: 'Gain (bits a token)', cell: (group) => signed(gainOf(group), 3) },
      { head: 'Helped', cell: ({ helped, tokens }) => percent(helped / tokens) },
    ],
    groups,
  );
}

function gainHistogramFigure(bins: readonly HistogramBin[], tokens: number): Markup {
  const inside = bins
    .filter(({ from, to }) => from !== null && to !== null && from >= -0.5 && to <= 0.5)
    .reduce((sum, bin) => sum + bin.count, 0);
  const text = `Each token’s gain: to the left of 0 the neighbours hurt, to the right they help. ${percent(inside / tokens)} of the tokens change by less than half a bit.`;
  return figure({
    id: 'gains',
    title: 'How much a token gains',
    text,
    chart: gainHistogram(`Histogram of the gain in bits. ${text}`, bins, tokens),
    table: table<HistogramBin>(
      'How much a token gains',
      [
        { head: 'Gain in bits', cell: binName },
        { head: 'Tokens', cell: ({ count: tokens }) => count(tokens) },
        { head: 'Share', cell: (bin) => percent(bin.count / tokens, 2) },
      ],
      bins,
    ),
  });
}

function binName({ from, to }: HistogramBin): string {
  if (from === null) return `below ${signed(to ?? 0)}`;
  return to === null ? `${signed(from)} and more` : `${signed(from)} to ${signed(to)}`;
}

function wordsFigure({ words }: ReportData): Markup {
  const wordTable = (caption: string, groups: readonly TokenGroup[]) =>
    groups.length === 0
      ? markup`<p>${caption}: none.</p>`
      : table<TokenGroup>(
          caption,
          [
            { head: 'Word', cell: ({ label }) => label },
            { head: 'Tokens', cell: ({ tokens }) => count(tokens) },
            { head: 'Bits in all', cell: ({ lmBits, mixedBits }) => signed(lmBits - mixedBits, 0) },
            { head: 'Bits a token', cell: (group) => signed(gainOf(group)) },
          ],
          groups,
        );
  return markup`<figure id="words" class="whole" aria-labelledby="words-title">
<h3 id="words-title">Words that gain and lose most</h3>
<p>Added up over all their occurrences: a common word with a small change counts as much as a rare one with a large change.</p>
<div class="pair">${wordTable('Gain most', words.helped)}${wordTable('Lose most', words.hurt)}</div>
</figure>`;
}
