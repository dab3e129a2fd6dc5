const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as HTML text or as the value of a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character]);
}

/** Markup that may stand in a page as it is. Only {@link markup} and {@link trusted} make it. */
export class Markup {
  /** The markup. */
  readonly text: string;

  /** @param text - markup */
  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in an {@link markup} template: text and numbers, which are escaped; markup; lists; nothing. */
export type Content = string | number | Markup | undefined | readonly Content[];

/** A template of markup whose values are escaped unless they are markup themselves. */
export function markup(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  let text = strings[0];
  for (const [i, value] of values.entries()) text += toMarkup(value) + strings[i + 1];
  return new Markup(text);
}

/** Markup of this package's own making: a style sheet, a chart. */
export function trusted(text: string): Markup {
  return new Markup(text);
}

function toMarkup(value: Content): string {
  if (value === undefined) return '';
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map(toMarkup).join('');
  return escapeHtml(String(value));
}

/**
 * JSON that may stand inside a script element: no `<`, so that no word of the text can end the element or open a comment
 * (HTML standard, "restrictions for contents of script elements"); U+2028 and U+2029 escaped too.
 */
export function jsonForScript(value: unknown): Markup {
  const json = JSON.stringify(value);
  return new Markup(
    json.replaceAll(
      /[<>&\u2028\u2029]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  );
}
