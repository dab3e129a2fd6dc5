import { BinarizerError } from './errors.js';

/**
 * Refuses what is no whole number within the bounds.
 *
 * @param name - of the option
 * @param value - as given
 * @param least - smallest allowed value
 * @param most - largest allowed value
 * @returns the value
 * @throws {@link BinarizerError} `OPTION_INVALID`
 */
export function wholeNumber(
  name: string,
  value: number,
  least = Number.MIN_SAFE_INTEGER,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const from = least === Number.MIN_SAFE_INTEGER ? '' : `, ${least}`;
  const range =
    from === '' ? '' : most === Number.MAX_SAFE_INTEGER ? `${from} or more` : `${from} to ${most}`;
  throw invalidOption(name, value, `a whole number${range}`);
}

/** The error for an option that has a value it cannot have. */
export function invalidOption(name: string, found: string | number, expected: string): BinarizerError {
  return new BinarizerError('OPTION_INVALID', `${name} is ${found}; expected ${expected}`, {
    hint: `Change ${name}.`,
    details: { option: name, found, expected },
  });
}
