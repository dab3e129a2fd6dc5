/** A whole number with separators: `33,366`. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** Three significant digits, without an exponent where one can do without: `0.0123`, `1.23`, `123`, `12,300`. */
export function shortNumber(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e9 || size < 1e-4) return value.toExponential(1);
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumSignificantDigits: 3 });
}

/** A perplexity with two decimals, or none where it is large. */
export function perplexityText(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return 'none';
  return value.toLocaleString('en-US', {
    minimumFractionDigits: value < 1e4 ? 2 : 0,
    maximumFractionDigits: value < 1e4 ? 2 : 0,
  });
}

/** A part as a percentage, with a space that no line is broken at: `61.3 %`. */
export function percent(part: number, digits = 1): string {
  return `${(100 * part).toFixed(digits)}\u00a0%`;
}

/** A difference with its sign, and a real minus: `+2.10`, `−0.35`. */
export function signed(value: number, digits = 2): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value < 0 ? '−' : '+'}${text}`;
}
