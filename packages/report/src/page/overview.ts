import { count, percent, perplexityText, signed, shortNumber } from '../numbers.js';
import type { ReportData, TokenGroup } from '../report-data.js';
import { markup, type Markup } from './html.js';

/** Perplexity of a group under the model alone and under the mixture. */
export function perplexities({ lmBits, mixedBits, tokens }: TokenGroup): { lm: number; mixed: number } {
  return { lm: 2 ** (lmBits / tokens), mixed: 2 ** (mixedBits / tokens) };
}

/** The result in a few numbers and one sentence. */
export function overview(data: ReportData): Markup {
  const { totals, unseen, excluded, settings } = data;
  const { lm, mixed } = perplexities(totals);
  const gain = (totals.lmBits - totals.mixedBits) / totals.tokens;
  const change = mixed / lm - 1;
  const lambda =
    settings.lambda === null ? 'a lambda of its own for each token' : `lambda ${settings.lambda}`;
  return markup`<section id="result" aria-labelledby="result-title">
<h2 id="result-title">Result</h2>
<dl class="cards">
${card('Language model alone', perplexityText(lm), 'perplexity')}
${card('With neighbours', perplexityText(mixed), `perplexity, ${percent(Math.abs(change))} ${change <= 0 ? 'lower' : 'higher'}`)}
${card('Gain', signed(gain), 'bits a token on average')}
${card('Tokens helped', percent(totals.helped / totals.tokens), `of ${count(totals.tokens)}`)}
</dl>
<p>Each token’s ${count(settings.k)} nearest neighbours are mixed in with ${lambda} and temperature ${shortNumber(settings.temperature)}.
They make ${count(totals.helped)} tokens more probable and the other ${count(totals.tokens - totals.helped)} less;
for ${percent(unseen / totals.tokens)} of the tokens no neighbour has the right word.
${excluded === 0 ? undefined : markup`${count(excluded)} tokens of probability 0 are left out, as fairseq leaves them out.`}
A gain is the number of bits that the mixture saves for a token: +1 doubles its probability, −1 halves it.</p>
</section>`;
}

function card(name: string, value: string, unit: string): Markup {
  return markup`<div><dt>${name}</dt><dd><strong>${value}</strong> <span>${unit}</span></dd></div>`;
}
