import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CheckpointError, openCheckpoint } from '../src/index.js';
import { golden, newFile } from './support/files.js';

/** `KNN_LM_NIGHTLY=1` damages 21,000 files with other random numbers each night, an ordinary run 1,500 with the same ones. */
const isNightly = process.env['KNN_LM_NIGHTLY'] === '1';
const CASES_PER_FILE = isNightly ? 7_000 : 500;
const SEED = isNightly ? Math.floor(Date.now() / 1000) : 0;
/** No case takes this long; the undamaged files take 5 ms. */
const MAX_CASE_MS = 1_000;
/** What all cases together may add to the process; a size that is believed without a check adds gigabytes. */
const MAX_GROWTH_BYTES = 400 * 2 ** 20;

/** Numbers that repeat for a seed (mulberry32). */
function randomNumbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

type Damage = (bytes: Buffer, at: number, random: (limit: number) => number) => Buffer;

const damages: Damage[] = [
  (bytes, at) => bytes.subarray(0, at),
  (bytes, at, random) => {
    for (let i = 0; i <= random(4); i++) bytes[(at + random(64)) % bytes.length] ^= 1 << random(8);
    return bytes;
  },
  (bytes, at, random) =>
    bytes.fill([0x00, 0xff, 0x7f][random(3)], at, Math.min(bytes.length, at + [1, 2, 4, 8][random(4)])),
  (bytes, at, random) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random(16))]),
  (bytes, at, random) =>
    Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + random(16), random(256)), bytes.subarray(at)]),
];

interface Outcome {
  readonly code: string;
  readonly isSame: boolean;
}

/** Opens a damaged file and reads all of it; anything but a typed error is thrown on. */
async function tryFile(path: string, intact: ReadonlyMap<string, Float32Array>): Promise<Outcome> {
  try {
    const checkpoint = await openCheckpoint(path);
    try {
      await checkpoint.verify();
      let isSame = checkpoint.tensors.size === intact.size;
      for (const [name, tensor] of checkpoint.tensors) {
        const elements = Buffer.from(tensor.readFloat32().buffer);
        isSame &&= Buffer.from(intact.get(name)?.buffer ?? new ArrayBuffer(0)).equals(elements);
      }
      return { code: 'opened', isSame };
    } finally {
      checkpoint.close();
    }
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return { code: error.code, isSame: false };
  }
}

describe.each(['model.zip.pt', 'model.zip.fp16.pt', 'model.legacy.inproj.pt'])('%s, damaged', (name) => {
  it(`is a typed error, or opens, in ${CASES_PER_FILE} cases`, { timeout: 1_800_000 }, async () => {
    const bytes = readFileSync(golden(name));
    const whole = await openCheckpoint(golden(name));
    const intact = new Map([...whole.tensors].map(([key, tensor]) => [key, tensor.readFloat32()]));
    whole.close();
    const pickleEnd = bytes.lastIndexOf('decoder.adaptive_softmax.tail');
    const random = randomNumbers(bytes.length + SEED);
    const before = process.memoryUsage().rss;
    const codes = new Map<string, number>();
    for (let i = 0; i < CASES_PER_FILE; i++) {
      // Most of the damage goes where the structure is: the pickle at the start, the directory at the end.
      const region = [pickleEnd, pickleEnd, bytes.length, 8_000][i % 4];
      const at = i % 4 === 3 ? bytes.length - 1 - random(region) : random(region);
      const damage = damages[random(damages.length)];
      const damaged = damage(Buffer.from(bytes), at, random);
      const path = newFile(damaged, 'damaged.pt');
      const start = performance.now();
      const { code, isSame } = await tryFile(path, intact);
      expect(performance.now() - start, `case ${i}, seed ${SEED}`).toBeLessThan(MAX_CASE_MS);
      codes.set(code, (codes.get(code) ?? 0) + 1);
      // The zip format has checksums: what opens has the right weights.
      if (code === 'opened' && name.includes('zip'))
        expect(isSame, `case ${i} at byte ${at}, seed ${SEED}`).toBe(true);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH_BYTES);
    expect(codes.size).toBeGreaterThan(4);
    expect(codes.get('opened') ?? 0).toBeLessThan(CASES_PER_FILE / 2);
  });
});
