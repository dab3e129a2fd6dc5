import stringWidth from 'string-width';

const graphemes = new Intl.Segmenter();
const ellipsis = '…';

/** Text from a corpus may hold anything: what would move the cursor or colour the terminal is shown as a dot. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, '·');
}

/** Columns that a text takes on a terminal. */
export function widthOf(text: string): number {
  return stringWidth(text);
}

/** Cuts a text at its end so that it takes at most so many columns. */
export function fitEnd(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = '';
  for (const { segment } of graphemes.segment(text)) {
    if (widthOf(kept + segment) > width - 1) break;
    kept += segment;
  }
  return width < 1 ? '' : kept + ellipsis;
}

/** Cuts a text at its beginning so that it takes at most so many columns. */
export function fitStart(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = '';
  for (const { segment } of [...graphemes.segment(text)].reverse()) {
    if (widthOf(segment + kept) > width - 1) break;
    kept = segment + kept;
  }
  return width < 1 ? '' : ellipsis + kept;
}

/** Fills a text up with spaces, on the right or on the left. */
export function pad(text: string, width: number, side: 'left' | 'right' = 'right'): string {
  const spaces = ' '.repeat(Math.max(0, width - widthOf(text)));
  return side === 'right' ? text + spaces : spaces + text;
}
