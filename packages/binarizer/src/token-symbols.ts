import { specialSymbols } from './dictionary.js';
import { isPythonSpace } from './python-text.js';

/**
 * Symbols under which `dict.txt` lists a tokenizer's tokens: the token itself, if a line can hold it and no other has it.
 * White space, control characters and halves of characters are written as `\u000a`; a token that is the same as another
 * symbol then, or as one of fairseq's four, ends with its id (`</s>\2`). An id without a token is `\unused\17`.
 *
 * @param tokens - by id
 * @returns a symbol for each, all different
 */
export function symbolsOf(tokens: readonly (string | undefined)[]): string[] {
  const used = new Set<string>(specialSymbols);
  const plain = new Set(tokens.filter((token) => token !== undefined && isPlain(token)));
  return tokens.map((token, id) => {
    let symbol = token === undefined ? `\\unused\\${id}` : escaped(token);
    const isTaken = () => used.has(symbol) || (symbol !== token && plain.has(symbol));
    while (isTaken()) symbol += `\\${id}`;
    used.add(symbol);
    return symbol;
  });
}

function isPlain(token: string): boolean {
  return escaped(token) === token;
}

function escaped(token: string): string {
  if (token === '') return '\\empty';
  let symbol = '';
  for (const character of token) {
    const codePoint = character.codePointAt(0) ?? 0;
    const isControl = codePoint < 0x20 || codePoint === 0x7f || (codePoint >= 0xd800 && codePoint <= 0xdfff);
    symbol +=
      isControl || isPythonSpace(codePoint) ? `\\u${codePoint.toString(16).padStart(4, '0')}` : character;
  }
  // The flag of a dictionary's line.
  return symbol.startsWith('#fairseq:') ? `\\${symbol}` : symbol;
}
