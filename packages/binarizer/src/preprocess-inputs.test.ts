import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { preprocess } from './preprocess.js';
import type { PreprocessOptions } from './preprocess-options.js';

const text = Array.from({ length: 3000 }, (_, i) => `w${(i * i) % 97} é${i % 5}\u3000x`).join('\n');
const folder = await mkdtemp(join(tmpdir(), 'knn-lm-inputs-'));
const plain = join(folder, 'a.txt');
let expected: Map<string, string>;

async function filesOf(destdir: string): Promise<Map<string, string>> {
  const names = (await readdir(destdir)).filter((name) => name !== 'preprocess.log').sort();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, await readFile(join(destdir, name), 'latin1')] as const),
    ),
  );
}

let runs = 0;
async function outputOf(options: PreprocessOptions): Promise<Map<string, string>> {
  const destdir = join(folder, `out${runs++}`);
  await preprocess({ onlySource: true, destdir, ...options });
  return filesOf(destdir);
}

/** Runs preprocessing in a process of its own with something on its standard input. */
function inChild(options: PreprocessOptions, input: Uint8Array): Promise<string> {
  const index = new URL('../dist/index.js', import.meta.url).href;
  const code = `import { preprocess } from '${index}';
    await preprocess(${JSON.stringify(options)}).then(() => console.log('done'), ({ code }) => console.log(code));`;
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', code]);
    let output = '';
    child.stdout.on('data', (piece: Buffer) => (output += piece.toString()));
    child.on('close', () => resolve(output.trim()));
    child.stdin.end(input);
  });
}

beforeAll(async () => {
  await writeFile(plain, text);
  expected = await outputOf({ trainpref: plain });
});

describe('preprocess', () => {
  it('reads compressed text, in several members too, whatever its name', async () => {
    const bytes = Buffer.from(text);
    const path = join(folder, 'compressed');
    await writeFile(path, Buffer.concat([gzipSync(bytes.subarray(0, 777)), gzipSync(bytes.subarray(777))]));
    expect(await outputOf({ trainpref: path, workers: 3, leastBytesPerWorker: 100 })).toEqual(expected);
    const raw = await outputOf({ trainpref: path, datasetImpl: 'raw' });
    expect(raw.get('train.None-None')).toBe(bytes.toString('latin1'));
  });

  it('reads patterns of compressed and plain files as one text', async () => {
    const lines = text.split('\n');
    await writeFile(join(folder, 'part1.txt.gz'), gzipSync(lines.slice(0, 1000).join('\n')));
    await writeFile(join(folder, 'part2.txt'), lines.slice(1000, 1500).join('\n'));
    await writeFile(join(folder, 'part3.txt.gz'), gzipSync(lines.slice(1500).join('\n')));
    for (const workers of [1, 3]) {
      const trainpref = join(folder, 'part*.txt*');
      expect(await outputOf({ trainpref, workers, leastBytesPerWorker: 100 })).toEqual(expected);
    }
  });

  it.each([
    ['cut short', (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 9)],
    ['damaged', (bytes: Uint8Array) => bytes.map((byte, i) => (i > 200 && i < 300 ? byte ^ 0x55 : byte))],
  ])('names the file when compressed data is %s', async (_, damage) => {
    const path = join(folder, 'damaged.gz');
    await writeFile(path, damage(gzipSync(text)));
    await expect(outputOf({ trainpref: path })).rejects.toMatchObject({
      code: 'TEXT_NOT_GZIP',
      message: expect.stringContaining(path) as string,
      details: expect.objectContaining({ byteOffset: expect.any(Number) as number }) as object,
    });
  });

  it.each([
    ['as it is', (bytes: Buffer) => bytes],
    ['compressed', (bytes: Buffer) => gzipSync(bytes)],
  ])('reads the training text from standard input, %s', async (name, encode) => {
    const destdir = join(folder, `stdin-${name}`);
    const options = { onlySource: true, trainpref: '-', destdir, workers: 2 };
    expect(await inChild(options, encode(Buffer.from(text)))).toBe('done');
    expect(await filesOf(destdir)).toEqual(expected);
  });

  it('reads a named pipe, and standard input that is not UTF-8', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const writing = writeFile(pipe, text);
    expect(await outputOf({ trainpref: pipe })).toEqual(expected);
    await writing;
    const options = { onlySource: true, trainpref: '-', destdir: join(folder, 'bad') };
    expect(await inChild(options, Buffer.of(0x61, 0xff))).toBe('TEXT_NOT_UTF8');
  });

  it.each([
    { trainpref: '-', validpref: '-' },
    { trainpref: '-', datasetImpl: 'raw' as const },
    { trainpref: '-', onlySource: false },
  ])('refuses to read standard input twice: %j', async (options) => {
    await expect(outputOf(options)).rejects.toMatchObject({ code: 'OPTION_CONFLICT' });
  });

  it('gives two sides of one text their own dictionaries', async () => {
    const destdir = join(folder, 'sides');
    const languages = { sourceLang: 'a', targetLang: 'a', nwordssrc: 8, destdir };
    await writeFile(join(folder, 'both.a'), text);
    const result = await preprocess({ ...languages, trainpref: join(folder, 'both') });
    expect(result.dictionary.size).toBe(8);
    expect(result.targetDictionary?.size).toBeGreaterThan(50);
    const [source, target] = result.splits;
    expect([source.tokens, source.replaced > 0, target.replaced]).toEqual([target.tokens, true, 0]);
    const joined = await preprocess({
      ...languages,
      destdir: join(folder, 'joined'),
      trainpref: join(folder, 'both'),
      joinedDictionary: true,
    });
    expect(joined.splits.map(({ tokens, replaced }) => [tokens, replaced])).toEqual(
      Array(2).fill([source.tokens, source.replaced]),
    );
  });
});
