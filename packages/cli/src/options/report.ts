import { int, str, type Option } from './option.js';

/** The page about what the neighbours do that an evaluation writes. */
export const reportOptions: readonly Option[] = [
  str('--report', null, 'write a page about what the neighbours do to this file (HTML, opens offline)'),
  int(
    '--report-queries',
    null,
    'keys drawn as queries for the recall in it; 0 measures none (default: 100, or 0 where keys above 8 GB would be read)',
  ),
];
