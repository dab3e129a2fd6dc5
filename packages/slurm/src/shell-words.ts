/**
 * Splits text into words as a POSIX shell does, without expanding anything: blanks part, quotes and backslashes keep
 * together.
 *
 * @param text - such as `--module 'layers[-1]' --seed 1`
 * @returns the words; `undefined` where a quote is not closed
 */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quote === "'" && char !== "'") word = (word ?? '') + char;
    else if (char === '\\' && i + 1 < text.length) word = (word ?? '') + text[++i];
    else if (char === quote) quote = undefined;
    else if (quote === undefined && (char === "'" || char === '"')) {
      quote = char;
      word ??= '';
    } else if (quote === undefined && /\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + char;
  }
  if (quote !== undefined) return undefined;
  return word === undefined ? words : [...words, word];
}

/** Writes one word so that a shell reads it back unchanged. */
export function quoteWord(word: string): string {
  return /^[\w./,:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
