import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { KnnLmError } from '@knn-lm/common';
import { beforeAll, describe, expect, it } from 'vitest';
import { Dictionary } from './dictionary.js';
import { inspectSentences } from './inspect.js';
import { openDataset } from './open-dataset.js';
import { writeDataset } from './write-dataset.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-damaged-'));
const dictionaryText = Array.from({ length: 40 }, (_, i) => `wörd${i} ${i * 37}\n`).join('');
const files = new Map<string, Uint8Array>();

const interesting = fc.constantFrom(0, 1, 0x0a, 0x0d, 0x20, 0x7f, 0x80, 0xc3, 0xff);
const position = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
/** A few bytes replaced, eight bytes set to an extreme number, a piece cut out, put in twice, or cut off. */
const damage = fc.oneof(
  fc.record({ kind: fc.constant('byte' as const), at: position, byte: fc.oneof(interesting, fc.nat(255)) }),
  fc.record({
    kind: fc.constant('number' as const),
    at: position,
    byte: fc.constantFrom(0, 0x7f, 0x80, 0xff),
  }),
  fc.record({ kind: fc.constant('remove' as const), at: position, length: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ kind: fc.constant('repeat' as const), at: position, length: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ kind: fc.constant('end' as const), at: position }),
);
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

function damaged(bytes: Uint8Array, change: Damage): Uint8Array {
  const at = Math.floor(change.at * bytes.length);
  if (change.kind === 'end') return bytes.subarray(0, at);
  const copy = Uint8Array.from(bytes);
  if (change.kind === 'byte') copy[at] = change.byte;
  if (change.kind === 'number') copy.fill(change.byte, at, at + 8);
  if (change.kind === 'byte' || change.kind === 'number') return copy;
  const piece = bytes.subarray(at, at + change.length);
  const rest = change.kind === 'remove' ? [] : [piece];
  return Buffer.concat([
    bytes.subarray(0, at),
    ...rest,
    bytes.subarray(at + (change.kind === 'remove' ? change.length : 0)),
  ]);
}

/** A typed error that names the file and the byte, or none; and little memory, however large the numbers in the file are. */
async function expectTyped(path: string, read: () => Promise<void>): Promise<void> {
  const before = process.memoryUsage().arrayBuffers;
  try {
    await read();
  } catch (error) {
    expect(error).toBeInstanceOf(KnnLmError);
    const { code, message, details } = error as KnnLmError;
    expect(code).toMatch(/^(IDX|BIN|TOKEN|FILE|DICTIONARY|TEXT)_/);
    expect(message).toContain(path);
    expect(typeof details['byteOffset']).toBe('number');
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8_000_000);
}

beforeAll(async () => {
  const sentences = Array.from({ length: 30 }, (_, i) =>
    Array.from({ length: i % 7 }, (_, j) => 4 + ((i * j) % 40)),
  );
  for (const [name, options] of Object.entries({
    mmap: { vocabularySize: 44 },
    old: { vocabularySize: 44, element: 'int32' as const },
    float: { vocabularySize: 44, element: 'float64' as const },
    cached: { vocabularySize: 44, format: 'cached' as const },
  })) {
    await writeDataset(join(folder, name), sentences, options);
    for (const suffix of ['.idx', '.bin']) {
      files.set(name + suffix, await readFile(join(folder, name + suffix)));
    }
  }
});

describe('a damaged file', () => {
  const damages = fc.array(damage, { minLength: 1, maxLength: 3 });

  it.each(
    ['mmap', 'old', 'float', 'cached'].flatMap((name) => [
      [name, '.idx'],
      [name, '.bin'],
    ]),
  )('%s%s is met with a typed error, or reads as some text', async (name, suffix) => {
    const dictionary = Dictionary.parse(Buffer.from(dictionaryText), 'dict.txt');
    const prefix = join(folder, `damaged-${name}`);
    for (const other of ['.idx', '.bin']) await writeFile(prefix + other, files.get(name + other) ?? '');
    await fc.assert(
      fc.asyncProperty(damages, async (changes) => {
        await writeFile(
          prefix + suffix,
          changes.reduce(damaged, files.get(name + suffix) ?? Uint8Array.of()),
        );
        await expectTyped(prefix, async () => {
          const dataset = await openDataset(prefix, { dictionary });
          try {
            for (const { ids, words } of inspectSentences(dataset, dictionary))
              expect(words).toHaveLength(ids.length);
          } finally {
            dataset.close();
          }
        });
      }),
      { numRuns: 250 },
    );
  });

  it('dict.txt is met with a typed error, or reads as some dictionary', async () => {
    await fc.assert(
      fc.asyncProperty(damages, async (changes) => {
        const bytes = changes.reduce(damaged, Buffer.from(dictionaryText) as Uint8Array);
        await expectTyped('dict.txt', () => {
          const dictionary = Dictionary.parse(bytes, 'dict.txt');
          expect(dictionary.size).toBeGreaterThanOrEqual(4);
          expect(dictionary.toText().split('\n')).toHaveLength(dictionary.size - 4 + 1);
          return Promise.resolve();
        });
      }),
      { numRuns: 1500 },
    );
  });
});
