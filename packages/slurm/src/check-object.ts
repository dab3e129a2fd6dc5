import { closest, distance } from 'fastest-levenshtein';
import { splitWords } from './shell-words.js';

/** Reads one value of a settings file; what is wrong with it goes to `problems`, and `undefined` comes back. */
export type Field<T> = (value: unknown, place: string, problems: string[]) => T | undefined;

/** The fields of an object and what each must be; all may be left out. */
export type Fields<T> = { readonly [Name in keyof T]-?: Field<NonNullable<T[Name]>> };

/** An object with some of these fields and no others. */
export function object<T extends object>(fields: Fields<T>): Field<Partial<T>> {
  return (value, place, problems) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return wrong(value, 'an object', place, problems);
    }
    const result: Partial<Record<string, unknown>> = {};
    for (const [name, member] of Object.entries(value)) {
      const at = place === '' ? name : `${place}.${name}`;
      if (Object.hasOwn(fields, name)) {
        result[name] = fields[name as keyof T](member, at, problems);
      } else problems.push(`${at}: unknown key${suggestion(name, Object.keys(fields))}`);
    }
    return result as Partial<T>;
  };
}

function suggestion(name: string, known: readonly string[]): string {
  const nearest = closest(name, [...known]);
  const isNear = distance(name.toLowerCase(), nearest.toLowerCase()) <= Math.max(2, name.length / 3);
  return isNear ? `; did you mean ${nearest}?` : `; known are ${known.join(', ')}`;
}

/** Text that is not empty. */
export const text: Field<string> = (value, place, problems) =>
  typeof value === 'string' && value !== '' && !/[\n\r\0]/.test(value)
    ? value
    : wrong(value, 'text of one line', place, problems);

/** Yes or no. */
export const yesOrNo: Field<boolean> = (value, place, problems) =>
  typeof value === 'boolean' ? value : wrong(value, 'true or false', place, problems);

/** A whole number in a range. */
export function count(least: number, most: number): Field<number> {
  return (value, place, problems) =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
      ? (value as number)
      : wrong(value, `a whole number from ${least} to ${most}`, place, problems);
}

/** Text that matches; `expected` says what it should look like. */
export function matching(pattern: RegExp, expected: string): Field<string> {
  return (value, place, problems) =>
    typeof value === 'string' && pattern.test(value) ? value : wrong(value, expected, place, problems);
}

/** A list of texts. */
export const texts: Field<readonly string[]> = (value, place, problems) => {
  if (!Array.isArray(value)) return wrong(value, 'a list of texts', place, problems);
  return value
    .map((item, i) => text(item, `${place}[${i}]`, problems))
    .filter((item): item is string => item !== undefined);
};

/** Flags as on a command line: one text, split as a shell does, or a list of words. */
export const flags: Field<readonly string[]> = (value, place, problems) => {
  if (Array.isArray(value)) return texts(value, place, problems);
  const words = typeof value === 'string' ? splitWords(value) : undefined;
  return words ?? wrong(value, 'flags as on a command line, quotes closed', place, problems);
};

function wrong(value: unknown, expected: string, place: string, problems: string[]): undefined {
  const found = JSON.stringify(value) ?? String(value);
  problems.push(
    `${place === '' ? 'the file' : place} is ${found.length > 60 ? `${found.slice(0, 57)}...` : found}; expected ${expected}`,
  );
  return undefined;
}
