import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

let count = 0;
const folder = mkdtempSync(join(tmpdir(), 'knn-lm-checkpoint-'));

/** A new folder for one test. */
export function newFolder(): string {
  return mkdtempSync(join(folder, 'case-'));
}

/** Writes bytes to a new file. */
export function newFile(bytes: Uint8Array | string, name = `${count++}.pt`): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** Path of a golden file of this package. */
export function golden(name: string): string {
  return join(dirname(fileURLToPath(import.meta.url)), '..', 'golden', name);
}
