import JSON5 from 'json5';
import { KnnLmError } from '@knn-lm/common';

/**
 * Reads a Python dictionary literal such as `{'tokens_per_sample': 512, 'tie': True}` without evaluating anything.
 *
 * @param text - the literal
 * @param flag - the flag it was given with, for the message
 * @throws `PYTHON_DICTIONARY` when it is not a dictionary of plain values
 */
export function parsePythonDictionary(text: string, flag: string): Record<string, unknown> {
  // Outside of quotes, Python's constants have other names than JSON's.
  const names: Record<string, string> = { True: 'true', False: 'false', None: 'null' };
  const json = text.replace(
    /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\b(True|False|None)\b/g,
    (all: string, constant: string | undefined) => (constant === undefined ? all : names[constant]),
  );
  let value: unknown;
  try {
    value = JSON5.parse(json);
  } catch (cause) {
    throw notADictionary(text, flag, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw notADictionary(text, flag);
  return value as Record<string, unknown>;
}

function notADictionary(text: string, flag: string, cause?: unknown): KnnLmError {
  return new KnnLmError('PYTHON_DICTIONARY', `${flag} is not a dictionary: ${text}`, {
    hint: `Write it as in Python: ${flag} "{'tokens_per_sample': 512}".`,
    cause,
  });
}
