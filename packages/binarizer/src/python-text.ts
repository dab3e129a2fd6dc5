/** White space above ASCII for which Python's `str.isspace` and `re`'s `\s` are true (Unicode White_Space). */
const spacesAboveAscii = new Set([
  0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a,
  0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
]);

/**
 * Python's white space, which is not JavaScript's: U+001C to U+001F and U+0085 belong to it, U+FEFF does not.
 *
 * @param codePoint - a Unicode code point
 */
export function isPythonSpace(codePoint: number): boolean {
  if (codePoint < 0x80) {
    return (
      codePoint === 0x20 ||
      (codePoint >= 0x09 && codePoint <= 0x0d) ||
      (codePoint >= 0x1c && codePoint <= 0x1f)
    );
  }
  return spacesAboveAscii.has(codePoint);
}

/** Runs of Python's white space; built of the set, so that there is one list of it. */
const spaceRun = new RegExp(
  `[${Array.from({ length: 0x3001 }, (_, codePoint) => codePoint)
    .filter(isPythonSpace)
    .map((codePoint) => `\\u${codePoint.toString(16).padStart(4, '0')}`)
    .join('')}]+`,
);

/** Python's `str.split()`. */
export function splitWords(text: string): string[] {
  return text.split(spaceRun).filter((word) => word !== '');
}

/** Python's `str.rstrip()`. */
export function stripEnd(text: string): string {
  let end = text.length;
  // All of Python's white space lies in the basic plane, so code units are enough.
  while (end > 0 && isPythonSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(0, end);
}

/** Python's `str.strip()`. */
export function strip(text: string): string {
  let start = 0;
  while (start < text.length && isPythonSpace(text.charCodeAt(start))) start++;
  return stripEnd(text.slice(start));
}
