import { markup, type Content, type Markup } from './html.js';

/** One column of a table. */
export interface Column<Row> {
  /** Heading. */
  readonly head: string;
  /** Content of a cell. The first column names the row. */
  readonly cell: (row: Row) => Content;
  /** Numbers are aligned to the right. @defaultValue true, but for the first column */
  readonly isText?: boolean | undefined;
}

/**
 * A table that scrolls on its own where it is wider than the page.
 *
 * @param caption - what it shows
 * @param columns - headings and cells
 * @param rows - the data
 */
export function table<Row>(caption: string, columns: readonly Column<Row>[], rows: readonly Row[]): Markup {
  const isText = (i: number) => columns[i].isText ?? i === 0;
  const kind = (i: number) => (isText(i) ? 'text' : 'number');
  const head = columns.map((column, i) => markup`<th scope="col" class="${kind(i)}">${column.head}</th>`);
  const body = rows.map((row) => {
    const cells = columns.map((column, i) =>
      i === 0
        ? markup`<th scope="row" class="${kind(i)}">${column.cell(row)}</th>`
        : markup`<td class="${kind(i)}">${column.cell(row)}</td>`,
    );
    return markup`<tr>${cells}</tr>`;
  });
  return markup`<div class="table" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}</caption>
<thead><tr>${head}</tr></thead>
<tbody>${body}</tbody>
</table></div>`;
}
