import { markup, type Content, type Markup } from './html.js';

/** A chart with its heading, what it says in words, and its numbers. */
export interface Figure {
  /** Unique within the page. */
  readonly id: string;
  /** Heading. */
  readonly title: string;
  /** One or two sentences: what is shown and what can be seen. */
  readonly text: Content;
  /** The chart; left out where there is nothing to draw. */
  readonly chart?: Markup | undefined;
  /** Explains the colours or the marks. */
  readonly legend?: Markup | undefined;
  /** The same numbers as a table. */
  readonly table?: Markup | undefined;
}

/** Lays a figure out. */
export function figure({ id, title, text, chart, legend, table }: Figure): Markup {
  return markup`<figure id="${id}" aria-labelledby="${id}-title">
<h3 id="${id}-title">${title}</h3>
<p>${text}</p>
${legend}${chart}
${table === undefined ? undefined : markup`<details><summary>Numbers<span class="hidden">: ${title}</span></summary>${table}</details>`}
</figure>`;
}
