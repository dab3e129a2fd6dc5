import { count, perplexityText, signed } from '../numbers.js';
import type { Passage, PassageToken, ReportData } from '../report-data.js';
import type { ClientPassage, ClientToken } from './client-data.js';
import { markup, jsonForScript, type Markup } from './html.js';

/** Classes of a token’s gain in bits, by their upper ends; names are those of the style sheet. */
const gainClasses: readonly (readonly [below: number, name: string])[] = [
  [-0.8, 'hurt3'],
  [-0.4, 'hurt2'],
  [-0.1, 'hurt1'],
  [0.1, 'even'],
  [1, 'help1'],
  [3, 'help2'],
  [Infinity, 'help3'],
];

const legend: readonly (readonly [name: string, text: string])[] = [
  ['help3', '+3 bits or more'],
  ['help2', '+1 to +3'],
  ['help1', '+0.1 to +1'],
  ['even', 'about 0'],
  ['hurt1', '−0.1 to −0.4'],
  ['hurt2', '−0.4 to −0.8'],
  ['hurt3', '−0.8 or less'],
];

/** Text to read, each token coloured by its gain, with the neighbours of the token that is chosen. */
export function passagesSection({ passages }: ReportData): Markup {
  if (passages.length === 0) return markup``;
  const titles = passages.map((passage, i) => passageTitle(passages, i, passage));
  return markup`<section id="passages" aria-labelledby="passages-title">
<h2 id="passages-title">The text, token by token</h2>
<p>A sample: the passages with the highest and the lowest gain, and some drawn at random. Choose a token to see what the
neighbours say. <span class="needs-script">With the keyboard: arrow keys move from token to token, Enter shows the
neighbours, Escape goes back.</span></p>
<noscript><p>The neighbours are shown by a script, which is switched off; the passages can be read without it.</p></noscript>
<ul class="legend">${legend.map(([name, text]) => markup`<li><span class="token ${name}">word</span> ${text}</li>`)}</ul>
<div class="chooser needs-script"><label for="passage-choice">Passage</label>
<select id="passage-choice">${titles.map((title, i) => markup`<option value="${i}">${title}</option>`)}</select></div>
<div class="reader">
<div class="passages">${passages.map((passage, i) => passageMarkup(passage, i, titles[i]))}</div>
<div id="neighbors" class="neighbors needs-script" role="region" aria-label="Neighbours of the chosen token" tabindex="-1">
<p class="empty">No token is chosen.</p></div>
</div>
<script type="application/json" id="passage-data">${jsonForScript(passages.map(clientPassage))}</script>
</section>`;
}

function passageTitle(
  passages: readonly Passage[],
  i: number,
  { kind, document, position }: Passage,
): string {
  const number = passages.slice(0, i + 1).filter((passage) => passage.kind === kind).length;
  const names = { helped: 'Most helped', hurt: 'Most hurt', random: 'At random' };
  return `${names[kind]} ${number}: ${document === null ? '' : `${document}, `}token ${count(position + 1)}`;
}

function passageMarkup(passage: Passage, i: number, title: string): Markup {
  const { tokens, before } = passage;
  const bits = (of: (token: PassageToken) => number) =>
    tokens.reduce((sum, token) => sum - of(token), 0) / Math.LN2 / tokens.length;
  const lm = bits((token) => token.lmLogProb);
  const mixed = bits((token) => token.logProb);
  return markup`<article class="passage" id="passage-${i}" aria-labelledby="passage-${i}-title">
<h3 id="passage-${i}-title">${title}</h3>
<p class="facts">${count(tokens.length)} tokens; perplexity ${perplexityText(2 ** lm)} alone, ${perplexityText(2 ** mixed)} with neighbours, ${signed(lm - mixed)} bits a token.</p>
<div class="text" role="group" aria-label="Tokens of the passage">${before === '' ? undefined : markup`<span class="before">… ${before} </span>`}${tokens.map((token, j) => tokenMarkup(token, j))}</div>
</article>`;
}

/** One token; only the first of a passage can be reached by Tab, arrow keys move on from there. */
function tokenMarkup({ word, lmLogProb, logProb }: PassageToken, j: number): Markup {
  const gain = (logProb - lmLogProb) / Math.LN2;
  const name = gainClasses.find(([below]) => gain < below)?.[1] ?? 'even';
  return markup`<button type="button" class="token ${name}" tabindex="${j === 0 ? 0 : -1}" aria-label="${word}, ${signed(gain, 1)} bits">${word}</button>${word === '</s>' ? markup`<br>` : ' '}`;
}

function clientPassage({ tokens }: Passage): ClientPassage {
  return tokens.map(({ lmLogProb, knnProb, logProb, predictions, neighbors }): ClientToken => [
    digits(Math.exp(lmLogProb)),
    digits(knnProb),
    digits(Math.exp(logProb)),
    digits((logProb - lmLogProb) / Math.LN2),
    predictions.map(({ word, share }) => [word, digits(share)]),
    neighbors.map(({ row, distance, share, word, before, after }) => [
      row,
      digits(distance),
      digits(share),
      word,
      before,
      after,
    ]),
  ]);
}

/** Four digits are enough to show, and half the size. */
function digits(value: number): number {
  return Number(value.toPrecision(4));
}
