/** Lines of Python's text mode (universal newlines): LF, CR LF and CR end a line, which is given without its end. */
export function pythonLines(text: string): string[] {
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
