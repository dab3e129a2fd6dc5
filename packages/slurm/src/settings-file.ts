import { readFileSync } from 'node:fs';
import { describeFileError } from '@knn-lm/common';
import type { Field } from './check-object.js';
import { SlurmError } from './errors.js';

/**
 * Reads a settings file.
 *
 * @param path - a JSON file
 * @param code - code of the errors
 * @throws `KnnLmError` `FILE_…`; {@link SlurmError} when it is not JSON
 */
export function readJsonFile(path: string, code: string): unknown {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (cause) {
    throw describeFileError(cause, path, 'read the settings');
  }
  try {
    return JSON.parse(source);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SlurmError(code, `${path} is not JSON: ${reason}`, {
      hint: 'JSON wants double quotes, and no comma after the last entry.',
      details: { path },
      cause,
    });
  }
}

/**
 * Checks settings against what they may be, and reports everything that is wrong at once.
 *
 * @param value - parsed JSON
 * @param field - what it may be
 * @param source - its name in the message
 * @param code - code of the error
 * @throws {@link SlurmError} with one line for each mistake
 */
export function checkSettings<T>(value: unknown, field: Field<T>, source: string, code: string): T {
  const problems: string[] = [];
  const result = field(value, '', problems);
  if (result !== undefined && problems.length === 0) return result;
  const summary = problems.length === 1 ? problems[0] : `\n    ${problems.join('\n    ')}`;
  throw new SlurmError(code, `${source}: ${summary}`, {
    hint: 'docs/guides/slurm.md has every key with an example.',
    details: { source, problems: problems.length },
  });
}
