import type { FactTable, ReportData } from '../report-data.js';
import { markup, type Markup } from './html.js';
import { table } from './table.js';

/** What was run: enough to run it again, and to see what differs when the result does. */
export function runSection({ run }: ReportData): Markup {
  return markup`<section id="run" aria-labelledby="run-title">
<h2 id="run-title">The run</h2>
<p>Made on ${dateText(run.date)} by this command:</p>
<pre tabindex="0" aria-label="Command line"><code>${run.command}</code></pre>
<div class="facts-tables">${run.tables.map(factTable)}</div>
</section>`;
}

function factTable({ title, rows }: FactTable): Markup {
  return table<readonly [string, string]>(
    title,
    [
      { head: 'What', cell: ([name]) => name },
      { head: 'Value', cell: ([, value]) => value, isText: true },
    ],
    rows,
  );
}

/** ISO 8601 to the minute, as people write it. */
function dateText(date: string): string {
  return date.replace(/T(\d\d:\d\d).*Z$/, ' $1 UTC');
}
