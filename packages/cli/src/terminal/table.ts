import CliTable from 'cli-table3';

/** One column of a table. */
export interface Column {
  /** Title. */
  readonly head: string;
  /** Numbers stand on the right. @defaultValue left */
  readonly align?: 'left' | 'right' | undefined;
}

/**
 * Lays a table out for a terminal: a frame, a line under the titles, none between the rows, no colours.
 *
 * @param columns - titles and alignment
 * @param rows - one cell for each column
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const table = new CliTable({
    head: columns.map(({ head }) => head),
    colAligns: columns.map(({ align = 'left' }) => align),
    style: { head: [], border: [] },
  });
  table.push(...rows.map((row) => [...row]));
  const lines = table.toString().split('\n');
  // The line under the titles stays; those between rows would make a long table twice as long.
  return lines.filter((line, i) => i < 3 || !line.startsWith('├')).join('\n');
}
