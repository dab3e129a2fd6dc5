import { execFileSync } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { finishDataset, longsOf, storageOf } from './dataset-writer.js';
import { JobQueue } from './job-queue.js';
import { openDataset } from './open-dataset.js';
import { layOut } from './text-encoder.js';
import { runTextTask } from './text-jobs.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-large-'));
afterAll(() => rm(folder, { recursive: true }));

/** Preprocesses a text in a process of its own; returns its peak of memory and what was written. */
function inChild(trainpref: string): { megabytes: number; tokens: number; sentences: number } {
  const index = new URL('../dist/index.js', import.meta.url).href;
  const options = { onlySource: true, trainpref, destdir: join(folder, 'out'), workers: 2 };
  const code = `import { preprocess } from '${index}';
    const { splits: [{ tokens, sentences }] } = await preprocess(${JSON.stringify(options)});
    console.log(JSON.stringify({ megabytes: process.resourceUsage().maxRSS / 1024, tokens, sentences }));`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
  return JSON.parse(output) as ReturnType<typeof inChild>;
}

describe('preprocess', () => {
  it('reads a line of 100 MB in little memory', async () => {
    const path = join(folder, 'line.txt');
    const file = await open(path, 'w');
    const words = 'quite some words of one line without an end '.repeat(25_000);
    for (let i = 0; i < 100; i++) await file.write(words);
    await file.close();
    const { megabytes, tokens, sentences } = inChild(path);
    expect([tokens, sentences]).toEqual([9 * 25_000 * 100 + 1, 1]);
    // The engine itself takes 45, a worker thread 15.
    expect(megabytes).toBeLessThan(160);
    const dataset = await openDataset(join(folder, 'out', 'train'));
    expect([...dataset.sizes]).toEqual([tokens]);
    expect([...dataset.readTokens(tokens - 2, tokens)]).toHaveLength(2);
    dataset.close();
    await rm(join(folder, 'out'), { recursive: true });
  });
});

describe('datasets beyond 2^31 tokens and 2^32 bytes', () => {
  const sentenceTokens = 2 ** 31 - 1;
  const sentences = 3;
  const tokenCount = sentences * sentenceTokens;
  const far = tokenCount - 4;
  const storage = storageOf('mmap', 65_000);

  it('writes 64-bit numbers', () => {
    const values = [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 33 + 7, 2 ** 53 - 1];
    const bytes = longsOf(Int32Array.from(values.keys()), (i) => values[i]);
    expect([...new BigInt64Array(bytes.buffer)]).toEqual(values.map(BigInt));
  });

  it.each(['mmap', 'cached'] as const)('writes and reads a %s dataset, most of it a hole', async (format) => {
    const prefix = join(folder, format);
    const { element, bias } = storageOf(format, 65_000);
    const bytesEach = format === 'mmap' ? 2 : 4;
    const sizesPath = join(folder, 'sizes');
    await writeFile(sizesPath, new Uint8Array(new Int32Array(sentences).fill(sentenceTokens).buffer));
    const tokensPath = join(folder, 'tokens');
    const file = await open(tokensPath, 'w');
    await file.truncate(tokenCount * bytesEach);
    await file.write(Uint8Array.of(7 + bias, 0, 0, 0).subarray(0, bytesEach), 0, bytesEach, far * bytesEach);
    await file.close();
    await finishDataset(prefix, tokensPath, [{ path: sizesPath, from: 0, sentences }], {
      format,
      element,
      bias,
    });
    const dataset = await openDataset(prefix);
    expect([dataset.tokenCount, dataset.length]).toEqual([tokenCount, sentences]);
    expect(dataset.readTokens(far, far + 1)[0]).toBe(7);
    dataset.close();
    await rm(`${prefix}.bin`);
  });

  it('lays out parts of more than 2^31 tokens', () => {
    const parts = ['a', 'b'].map((name) => ({ tokensPath: name, sizesPath: name }));
    const range = (part: number, tokens: number) => ({ range: 0, part, tokens, sentences: 5, replaced: 0 });
    const { runs, sizes, tokens, sentences } = layOut({
      parts,
      ranges: [range(1, 3e9), range(0, 7), range(1, 4e9)],
    });
    expect([tokens, sentences]).toEqual([7e9 + 7, 15]);
    expect(sizes.map(({ path, from }) => [path, from])).toEqual([
      ['b', 0],
      ['a', 0],
      ['b', 5],
    ]);
    let next = 0;
    for (const run of runs) {
      expect(run.to).toBe(next);
      expect(run.from).toBe(run.source === 0 ? 0 : run.to < 3e9 ? run.to : run.to - 7);
      next += run.tokens;
    }
    expect(next).toBe(tokens);
  });

  it('brings ids to places beyond 2^32 bytes', async () => {
    const [source, target] = [join(folder, 'ids'), join(folder, 'placed')];
    const from = 2 ** 31 + 10;
    const to = 2 ** 32 + 3;
    const file = await open(source, 'w');
    await file.write(Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0), 0, 8, from * 4);
    await file.close();
    await writeFile(target, '');
    const runs = [{ source: 0, from, to, tokens: 2 }];
    const task = {
      kind: 'place',
      runs,
      sources: [source],
      ids: Int32Array.of(9, -1),
      target,
      storage,
    } as const;
    const result = await runTextTask(task, {
      thread: 0,
      queue: new JobQueue(1),
      control: {},
      numberings: new Map(),
    });
    const placed = await open(target);
    const { buffer } = await placed.read(new Uint8Array(4), 0, 4, to * 2);
    expect([...buffer]).toEqual([9, 0, 3, 0]);
    expect(result).toEqual({ replaced: 1, failure: undefined });
    await placed.close();
  });
});
