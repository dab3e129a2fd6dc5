import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { markup, trusted, type Markup } from './html.js';

/** Widths that every chart is drawn at: for a phone, and for everything wider. */
export const widths = { narrow: 340, wide: 560 } as const;

/** One of the two drawings of a chart. */
export type Size = keyof typeof widths;

/**
 * A chart of Observable Plot as SVG, drawn for phones and for wider screens; the style sheet shows one of them. Colours
 * are custom properties of the page, so that they follow light and dark mode.
 *
 * @param label - what a screen reader says instead; the numbers are in the table beside the chart
 * @param options - of `Plot.plot`, for a size
 */
export function chart(label: string, options: (size: Size) => Plot.PlotOptions): Markup {
  return markup`${draw('narrow', label, options)}${draw('wide', label, options)}`;
}

function draw(size: Size, label: string, options: (size: Size) => Plot.PlotOptions): Markup {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const svg = Plot.plot({ document, width: widths[size], marginRight: 24, ...options(size) });
  // The page’s own style sheet has these rules; a second style element would need a hash in the policy of the page.
  for (const style of svg.querySelectorAll('style')) style.remove();
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', label);
  svg.setAttribute('class', `chart ${size}`);
  for (const part of svg.querySelectorAll('[aria-label],[aria-description]')) {
    // Parts of an image have no names of their own; "x-axis tick" would only be noise.
    part.removeAttribute('aria-label');
    part.removeAttribute('aria-description');
  }
  for (const part of svg.querySelectorAll('*')) shortenNumbers(part);
  return trusted(svg.outerHTML);
}

const coordinates = ['d', 'transform', 'x', 'y', 'x1', 'x2', 'y1', 'y2', 'cx', 'cy', 'width', 'height'];

/** Coordinates with two decimals: half the size, and nobody sees the difference. */
function shortenNumbers(part: Element): void {
  for (const name of coordinates) {
    const value = part.getAttribute(name);
    if (value === null) continue;
    part.setAttribute(
      name,
      value.replaceAll(/-?\d+\.\d{3,}/g, (number) => String(Math.round(Number(number) * 100) / 100)),
    );
  }
}
