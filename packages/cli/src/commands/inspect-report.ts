import type { NeighborRecord, TokenRecord } from '@knn-lm/knn-lm';
import { fitEnd, fitStart, pad, printable, widthOf } from '../terminal/fit.js';

/** How records are shown. */
export interface ReportStyle {
  /** Columns of the terminal. */
  readonly width: number;
  /** Whether escape sequences may be written. */
  readonly colors: boolean;
}

/** The terminal that standard output is, NO_COLOR and FORCE_COLOR respected; a file is 100 columns wide. */
export function reportStyle(): ReportStyle {
  const { stdout } = process;
  const colors = stdout.isTTY ? stdout.hasColors() : false;
  const width = stdout.isTTY ? stdout.columns : Number(process.env['COLUMNS'] ?? 100);
  return { width: Number.isInteger(width) ? Math.max(40, width) : 100, colors };
}

/**
 * One token for people: its context, probabilities and neighbours. No line is longer than the terminal is wide.
 *
 * @param record - the token
 * @param style - width and colours
 */
export function describeRecord(record: TokenRecord, style: ReportStyle): string {
  const { sentence, token, position, pLm, pKnn, p, lambda, gain, neighbors } = record;
  const paint = painter(style.colors);
  const word = fitEnd(printable(record.word), Math.floor(style.width / 3));
  const context = printable(record.context.join(' '));
  const room = style.width - widthOf(word) - 1;
  const numbers = [
    `p_LM ${probability(pLm)}`,
    `p_kNN ${probability(pKnn ?? 0)}`,
    `mixture ${probability(p)}`,
    `lambda ${lambda.toFixed(3)}`,
    `gain ${gain > 0 ? '+' : ''}${gain.toFixed(2)} bits`,
  ];
  const lines = [
    fitEnd(`token ${position} (sentence ${sentence}, token ${token})`, style.width),
    `${paint('dim', fitStart(context, room))} ${paint('bold', word)}`,
    ...wrapped(numbers, style.width).map((line) =>
      line.replace(/gain .*/, (text) => paint(gain < 0 ? 'red' : 'green', text)),
    ),
    ...neighborLines(neighbors, record.id, style),
  ];
  return `${lines.join('\n')}\n`;
}

/** Puts pieces of text into lines. */
function wrapped(pieces: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const piece of pieces) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 2 + piece.length <= width)
      lines[lines.length - 1] = `${last}  ${piece}`;
    else lines.push(piece);
  }
  return lines;
}

/** Widest value that is shown whole where there is room for it. */
const widestValue = 20;

function neighborLines(neighbors: readonly NeighborRecord[], id: number, style: ReportStyle): string[] {
  if (neighbors.length === 0) return ['no neighbour was found'];
  const paint = painter(style.colors);
  const cells = neighbors.map((neighbor) => ({
    distance: neighbor.distance.toFixed(2),
    share: `${(100 * neighbor.share).toFixed(2)} %`,
    place:
      neighbor.place === undefined
        ? `row ${neighbor.row}`
        : `${neighbor.place.sentence}:${neighbor.place.token}`,
    value: printable(neighbor.word),
    context: neighbor.context === undefined ? '' : printable(neighbor.context.join(' ')),
    isToken: neighbor.id === id,
  }));
  const heads = { distance: 'distance', share: 'share', place: 'place', value: 'value', context: 'context' };
  const widest = (name: keyof typeof heads, most = Infinity) =>
    Math.min(most, Math.max(...[heads, ...cells].map((cell) => widthOf(cell[name]))));
  const widths = { distance: widest('distance'), share: widest('share'), place: widest('place') };
  const fixed = widths.distance + widths.share + widths.place + 8;
  const value = widest('value', Math.max(5, Math.min(widestValue, style.width - fixed)));
  const context = Math.max(0, Math.min(widest('context'), style.width - fixed - value));
  const line = (cell: typeof heads) => ({
    front: `${pad(cell.distance, widths.distance, 'left')}  ${pad(cell.share, widths.share, 'left')}  ${pad(cell.place, widths.place)}  `,
    context: context < 8 ? '' : `${pad(fitStart(cell.context, context), context, 'left')}  `,
    value: fitEnd(cell.value, value),
  });
  const head = line(heads);
  return [
    paint('dim', (head.front + head.context + head.value).trimEnd()),
    ...cells.map((cell) => {
      const { front, context: before, value: after } = line(cell);
      return `${front}${paint('dim', before)}${paint(cell.isToken ? 'green' : 'plain', after)}`;
    }),
  ];
}

/** Four digits, however small. */
function probability(value: number): string {
  return value >= 0.0001 || value === 0 ? value.toFixed(4) : value.toExponential(1);
}

const codes = { plain: undefined, bold: 1, dim: 2, red: 31, green: 32 } as const;

function painter(colors: boolean): (color: keyof typeof codes, text: string) => string {
  return (color, text) => {
    const code = codes[color];
    return colors && code !== undefined && text !== '' ? `\u001b[${code}m${text}\u001b[0m` : text;
  };
}
