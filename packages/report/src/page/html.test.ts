import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseHTML } from 'linkedom';
import { escapeHtml, markup, jsonForScript } from './html.js';

describe('markup', () => {
  it('gives back any text, as text and as an attribute', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        // The parser itself changes carriage returns and NUL, as the HTML standard says.
        const plain = text.replaceAll(/[\r\0]/g, '');
        const { document } = parseHTML(markup`<p title="${plain}">${plain}</p>`.text);
        expect(document.querySelector('p')?.textContent).toBe(plain);
        expect(document.querySelector('p')?.getAttribute('title')).toBe(plain);
      }),
    );
  });

  it('escapes text once, and leaves markup as it is', () => {
    const inner = markup`<b>${'<&>'}</b>`;
    expect(markup`${inner}${[1, inner]}${undefined}`.text).toBe('<b>&lt;&amp;&gt;</b>1<b>&lt;&amp;&gt;</b>');
    expect(escapeHtml(`"'`)).toBe('&quot;&#39;');
  });

  it('writes JSON that no script element ends in', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom('</script>', '<!--', ']]>', '\u2028'), (value, poison) => {
        const { text } = jsonForScript([value, poison]);
        expect(text).not.toMatch(/[<>\u2028\u2029]/);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify([value, poison])));
      }),
    );
  });
});
