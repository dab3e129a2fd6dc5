import { createHash } from 'node:crypto';
import type { LmArchitecture } from '../architecture.js';
import { expectedTensors } from '../tensor-names.js';

/** Parts of the architecture that do not change what the model computes for an input that it accepts. */
const irrelevant = new Set<string>(['name', 'maxPositions', 'tokensPerSample', 'addBosToken']);

/** JSON with the keys of every object in alphabetical order. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/**
 * Identity of what a model computes: SHA-256 of its architecture and its parameters.
 *
 * @param architecture - the model
 * @param checksum - SHA-256 (hex) of a parameter's float32 bytes, by name
 */
export function modelFingerprint(
  architecture: LmArchitecture,
  checksum: (name: string) => string | undefined,
): string {
  const relevant = Object.entries(architecture).filter(([key]) => !irrelevant.has(key));
  const hash = createHash('sha256').update(canonicalJson(Object.fromEntries(relevant)));
  for (const name of expectedTensors({ ...architecture, maxPositions: 1 }).keys()) {
    hash.update(`\n${name} ${checksum(name)}`);
  }
  return hash.digest('hex');
}
