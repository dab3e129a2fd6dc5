import { createHash } from 'node:crypto';
import { count } from '../numbers.js';
import type { ReportData } from '../report-data.js';
import { browserScript } from './browser-script.js';
import { groupsSection } from './groups-section.js';
import { markup, trusted } from './html.js';
import { indexSection } from './index-section.js';
import { overview } from './overview.js';
import { passagesSection } from './passages-section.js';
import { runSection } from './run-section.js';
import { settingsSection } from './settings-section.js';
import { styleSheet } from './style.js';

const sections: readonly (readonly [id: string, name: string])[] = [
  ['result', 'Result'],
  ['where', 'Help and hurt'],
  ['passages', 'Text'],
  ['settings', 'Settings'],
  ['index', 'Index'],
  ['run', 'Run'],
];

/**
 * The report as one HTML file that needs nothing else: no server, no network, no fonts. Its policy
 * (`Content-Security-Policy`) allows only its own style sheet and script, by their hashes.
 *
 * The size does not depend on the length of the text: with the collector's defaults about 1.5 MB, most of it the
 * neighbours of the passages.
 *
 * @param data - what a `ReportCollector` gathered
 * @returns the file's content
 */
export function renderReport(data: ReportData): string {
  const script = `(${browserScript.toString()})();`;
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(styleSheet)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const { run, totals, passages } = data;
  const shown = sections.filter(([id]) => id !== 'passages' || passages.length > 0);
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${trusted(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>kNN-LM report: ${run.text}</title>
<style>${trusted(styleSheet)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header>
<h1>kNN-LM report</h1>
<p class="subtitle">${run.text}; ${count(totals.tokens)} tokens</p>
</header>
<nav aria-label="Sections"><ul>${shown.map(([id, name]) => markup`<li><a href="#${id}">${name}</a></li>`)}</ul></nav>
<main id="main">
${overview(data)}
${groupsSection(data)}
${passagesSection(data)}
${settingsSection(data)}
${indexSection(data)}
${runSection(data)}
</main>
<footer><p>Everything in this file is in this file: it opens without a network.</p></footer>
<script>${trusted(script)}</script>
</body>
</html>
`.text;
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text, 'utf8').digest('base64')}'`;
}
