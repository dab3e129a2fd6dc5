import { mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { KnnLmError } from '@knn-lm/common';
import { describe, expect, it } from 'vitest';
import { Dictionary } from './dictionary.js';
import { openDataset } from './open-dataset.js';
import type { TokenDataset } from './token-dataset.js';
import { writeDataset, type WriteDatasetOptions } from './write-dataset.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-dataset-'));
const prefix = join(folder, 'test');

const stored: WriteDatasetOptions[] = [
  ...(['uint8', 'int8', 'int16', 'int32', 'int64', 'float64', 'uint16', 'uint32', 'uint64'] as const).map(
    (element) => ({ vocabularySize: 120, element }),
  ),
  { vocabularySize: 120 },
  { vocabularySize: 65_499 },
  { vocabularySize: 65_500 },
  { vocabularySize: 120, format: 'cached' },
  { vocabularySize: 2 ** 31 - 1, format: 'lazy' },
];

const sentencesBelow = (size: number) =>
  fc.array(fc.array(fc.integer({ min: 0, max: size - 1 }), { maxLength: 12 }), { maxLength: 12 });

function allSentences(dataset: TokenDataset): number[][] {
  return Array.from({ length: dataset.length }, (_, i) => [...dataset.sentence(i)]);
}

describe('writeDataset and openDataset', () => {
  it.each(stored)('give back what was written: %j', async (options) => {
    await fc.assert(
      fc.asyncProperty(
        sentencesBelow(options.vocabularySize),
        fc.nat(),
        fc.nat(),
        async (sentences, from, to) => {
          await writeDataset(prefix, sentences, options);
          const dataset = await openDataset(prefix);
          expect(allSentences(dataset)).toEqual(sentences);
          expect([...dataset.sizes]).toEqual(sentences.map((sentence) => sentence.length));
          const flat = sentences.flat();
          expect(dataset.tokenCount).toBe(flat.length);
          const [start, end] = [from % (flat.length + 1), to % (flat.length + 1)].sort((a, b) => a - b);
          expect([...dataset.readTokens(start, end)]).toEqual(flat.slice(start, end));
          dataset.close();
        },
      ),
      { numRuns: 30 },
    );
    expect((await readdir(folder)).sort()).toEqual(['test.bin', 'test.idx']);
  });

  it('give one text one fingerprint in every format, and another text another', async () => {
    const text = [[5, 6, 2], [2], [7, 2]];
    const fingerprints = new Set<string>();
    for (const options of stored) {
      await writeDataset(prefix, text, options);
      fingerprints.add((await openDataset(prefix)).fingerprint);
    }
    const dictionary = Dictionary.parse(Buffer.from('x 1\na 1\nb 1\nc 1\n'), 'dict.txt');
    const raw = join(folder, 'raw.txt');
    await writeFile(raw, 'a b\n\nc\n');
    fingerprints.add((await openDataset(raw, { dictionary })).fingerprint);
    expect(fingerprints.size).toBe(1);
    await writeDataset(prefix, [[5, 6, 2], [2], [8, 2]], { vocabularySize: 9 });
    fingerprints.add((await openDataset(prefix)).fingerprint);
    await writeDataset(
      prefix,
      [
        [5, 6],
        [2, 2],
        [7, 2],
      ],
      { vocabularySize: 9 },
    );
    fingerprints.add((await openDataset(prefix)).fingerprint);
    expect(fingerprints.size).toBe(3);
  });

  it('reads long and short ranges of a text that is larger than its window', async () => {
    const sentences = Array.from({ length: 3000 }, (_, i) =>
      Int32Array.from({ length: 700 }, (_, j) => (i * 7 + j) % 60_000),
    );
    await writeDataset(prefix, sentences, { vocabularySize: 60_000 });
    const dataset = await openDataset(prefix);
    const tokenAt = (token: number) => (Math.floor(token / 700) * 7 + (token % 700)) % 60_000;
    for (const [start, length] of [
      [2_000_000, 30],
      [1_999_000, 40],
      [0, 5],
      [100, 1_500_000],
      [2_099_990, 10],
    ]) {
      const expected = Int32Array.from({ length }, (_, i) => tokenAt(start + i));
      const isEqual = Buffer.from(dataset.readTokens(start, start + length).buffer).equals(
        Buffer.from(expected.buffer),
      );
      expect(isEqual).toBe(true);
    }
    expect(dataset.sentence(2999)).toEqual(sentences[2999]);
  });

  it('keep the old files when writing fails, and leave nothing else', async () => {
    await writeDataset(prefix, [[5, 2]], { vocabularySize: 9 });
    const before = await readFile(`${prefix}.bin`);
    for (const id of [9, -1, 1.5, NaN]) {
      await expect(writeDataset(prefix, [[3], [id]], { vocabularySize: 9 })).rejects.toMatchObject({
        code: 'TOKEN_OUT_OF_RANGE',
      });
    }
    await expect(
      writeDataset(prefix, [[200]], { vocabularySize: 300, element: 'int8' }),
    ).rejects.toMatchObject({
      code: 'TOKEN_OUT_OF_RANGE',
    });
    expect(await readFile(`${prefix}.bin`)).toEqual(before);
    expect((await readdir(folder)).filter((name) => name.includes('.tmp'))).toEqual([]);
  });
});

describe('openDataset', () => {
  const vocabularySize = 60;

  it.each(['mmap', 'cached'] as const)(
    'meets a damaged %s index with a typed error, or with the same text',
    async (format) => {
      await writeDataset(prefix, [[5, 6, 2], [2], [7, 8, 9, 2]], { vocabularySize, format });
      const whole = await readFile(`${prefix}.idx`);
      const sentences = allSentences(await openDataset(prefix));
      const damaged = join(folder, 'damaged');
      await writeFile(`${damaged}.bin`, await readFile(`${prefix}.bin`));
      let refused = 0;
      const check = async (bytes: Uint8Array) => {
        await writeFile(`${damaged}.idx`, bytes);
        try {
          expect(allSentences(await openDataset(damaged))).toEqual(sentences);
        } catch (error) {
          expect(error).toBeInstanceOf(KnnLmError);
          expect((error as KnnLmError).message).toContain(damaged);
          expect((error as KnnLmError).code).toMatch(/^(IDX|BIN|TOKEN)_/);
          refused++;
        }
      };
      for (let length = 0; length < whole.length; length++) await check(whole.subarray(0, length));
      await check(Buffer.concat([whole, Buffer.of(0)]));
      expect(refused).toBe(whole.length + 1);
      for (let at = 0; at < whole.length; at++) {
        for (const byte of [0, 0x7f, 0x80, 0xff, whole[at] ^ 1]) {
          const bytes = Uint8Array.from(whole);
          bytes[at] = byte;
          if (byte !== whole[at]) await check(bytes);
        }
      }
      expect(refused).toBeGreaterThan(whole.length * 4);
    },
  );

  it('refuses a .bin of another length', async () => {
    await writeDataset(prefix, [[5, 6, 2]], { vocabularySize });
    await writeFile(`${prefix}.bin`, new Uint8Array(7));
    await expect(openDataset(prefix)).rejects.toMatchObject({
      code: 'BIN_SIZE',
      details: expect.objectContaining({ found: 7, expected: 6 }) as object,
    });
  });

  it('refuses ids that the dictionary or no dictionary has, and names the byte', async () => {
    await writeDataset(prefix, [[5, 6, 2]], { vocabularySize });
    const dictionary = Dictionary.parse(Buffer.from('a 1\nb 1\n'), 'dict.txt');
    const dataset = await openDataset(prefix, { dictionary });
    expect(() => dataset.sentence(0)).toThrow(
      expect.objectContaining({
        code: 'TOKEN_OUT_OF_RANGE',
        details: expect.objectContaining({ byteOffset: 2 }) as object,
      }),
    );
    await writeDataset(prefix, [[5, 6, 2]], { vocabularySize, element: 'int32' });
    await writeFile(`${prefix}.bin`, new Uint8Array(Int32Array.of(5, 6, -1).buffer));
    expect(() => dataset.close()).not.toThrow();
    const negative = await openDataset(prefix);
    expect(() => negative.readTokens(0, 3)).toThrow(
      expect.objectContaining({
        code: 'TOKEN_OUT_OF_RANGE',
        details: expect.objectContaining({ byteOffset: 8 }) as object,
      }),
    );
  });

  it('refuses sentences and ranges that are not there', async () => {
    await writeDataset(prefix, [[5, 2]], { vocabularySize });
    const dataset = await openDataset(prefix);
    for (const i of [-1, 1, 0.5, NaN]) {
      expect(() => dataset.sentence(i)).toThrow(expect.objectContaining({ code: 'SENTENCE_OUT_OF_RANGE' }));
    }
    for (const [start, end] of [
      [-1, 1],
      [0, 3],
      [2, 1],
      [0, NaN],
    ]) {
      expect(() => dataset.readTokens(start, end)).toThrow(
        expect.objectContaining({ code: 'RANGE_OUT_OF_TEXT' }),
      );
    }
  });
});
