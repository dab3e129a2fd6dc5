import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repositoryRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

/**
 * The folder of golden files made by the Python system, beside the repository (`../shared/fixtures`, or
 * `KNN_LM_FIXTURES`), or `undefined` where it is missing: tests that need it skip themselves with a message then.
 */
export const fixturesFolder: string | undefined = [
  process.env['KNN_LM_FIXTURES'],
  join(repositoryRoot, '..', 'shared', 'fixtures'),
].find((path) => path !== undefined && existsSync(join(path, 'MANIFEST.json')));

/** Path of a golden file; the test must have checked {@link fixturesFolder} first. */
export function fixture(...parts: string[]): string {
  if (fixturesFolder === undefined) throw new Error('the fixtures folder is not there');
  return join(fixturesFolder, ...parts);
}

/** Path of a file in the repository, from its root. */
export function repositoryFile(...parts: string[]): string {
  return join(repositoryRoot, ...parts);
}
