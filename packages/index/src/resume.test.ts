import { existsSync } from 'node:fs';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CancelledError } from '@knn-lm/common';
import { fileSource, runAndKill } from '../test/kill.js';
import { clusteredVectors, MemorySource, newFolder } from '../test/memory-source.js';
import { buildIndex, type BuildResult } from './build-index.js';
import type { BuildOptions } from './build-options.js';

const dimension = 8;
const rows = 5003;
const vectors = clusteredVectors(rows, dimension);
const kinds: Record<string, BuildOptions> = {
  IndexIVFPQ: { type: 'IndexIVFPQ', centroids: 16, codeSize: 2, bitsPerIndex: 4, nprobe: 5 },
  IndexFlatL2: { type: 'IndexFlatL2' },
  'OPQ2,IVF16,PQ2x4np': { type: 'OPQ2,IVF16,PQ2x4np', nprobe: 5 },
  'IVF16,PQ4x4fs': { type: 'IVF16,PQ4x4fs', nprobe: 5 },
};
/** 50 have been run; each takes half a second. */
const KILLS = Number(process.env['KNN_LM_TEST_KILLS'] ?? 8);
const files = ['faiss.index', 'faiss.index.json'];

/** Builds until some keys are added, then stops. */
async function interrupt(source: MemorySource, options: BuildOptions, afterRows: number): Promise<void> {
  const stop = new AbortController();
  const building = buildIndex(source, {
    batchSize: 500,
    threads: 1,
    ...options,
    signal: stop.signal,
    onProgress: ({ stage, done }) => {
      if (stage === 'add' && done >= afterRows) stop.abort();
    },
  });
  await expect(building).rejects.toMatchObject({ code: 'CANCELLED' });
}

async function finish(source: MemorySource, options: BuildOptions): Promise<BuildResult> {
  return buildIndex(source, { batchSize: 500, threads: 1, ...options });
}

function messagesOf(options: BuildOptions): { options: BuildOptions; messages: string[] } {
  const messages: string[] = [];
  const add = (message: string): void => void messages.push(message);
  return { messages, options: { ...options, logger: { info: add, warn: add } } };
}

describe.each(Object.entries(kinds))('an interrupted build of %s', (_, options) => {
  it('goes on where it was, and gives the same file', async () => {
    const whole = new MemorySource(vectors, dimension);
    const expected = await readFile((await finish(whole, options)).path);

    const source = new MemorySource(vectors, dimension);
    await interrupt(source, options, 1500);
    expect(existsSync(join(source.folder, 'faiss.index.partial'))).toBe(true);
    expect(existsSync(join(source.folder, 'faiss.index'))).toBe(false);
    await interrupt(source, options, 3500);
    const result = await finish(source, options);
    expect(result.resumedRows).toBeGreaterThanOrEqual(3500);
    expect((await readFile(result.path)).equals(expected)).toBe(true);
    const left = (await readdir(source.folder)).filter((name) => !name.includes('trained'));
    expect(left).toEqual(files);
  });
});

describe('an interrupted build', () => {
  const options = kinds['IndexIVFPQ'];

  it('says what is saved and how to go on', async () => {
    const source = new MemorySource(vectors, dimension);
    const stop = new AbortController();
    const error = await buildIndex(source, {
      ...options,
      batchSize: 500,
      signal: stop.signal,
      onProgress: ({ stage, done }) => {
        if (stage === 'add' && done >= 1000) stop.abort();
      },
    }).catch((cause: unknown) => cause as CancelledError);
    expect(error).toMatchObject({
      message: expect.stringMatching(/^stopped after adding [\d,]+ of 5,003 keys; they are saved$/) as string,
      hint: 'The same command goes on from there.',
    });
  });

  it('saves at intervals', async () => {
    const source = new MemorySource(vectors, dimension);
    const seen = new Set<string>();
    await buildIndex(source, {
      ...options,
      batchSize: 500,
      saveIntervalMs: 0,
      onProgress: ({ stage }) => {
        if (stage === 'add' && existsSync(join(source.folder, 'faiss.index.partial'))) seen.add(stage);
      },
    });
    expect(seen.size).toBe(1);
  });

  it('is not resumed with another datastore, training or kind', async () => {
    const source = new MemorySource(vectors, dimension);
    const other = clusteredVectors(rows, dimension, 7);
    for (const change of ['keys', 'training', 'kind']) {
      await rm(join(source.folder, 'faiss.index'), { force: true });
      await interrupt(source, options, 1500);
      const keys = new MemorySource(change === 'keys' ? other : vectors, dimension, source.folder);
      const { options: logged, messages } = messagesOf(change === 'kind' ? { type: 'IndexFlatL2' } : options);
      if (change === 'training') {
        const again = new MemorySource(other, dimension);
        await finish(again, options);
        const trained = join(again.folder, 'faiss.trained_index');
        await writeFile(join(source.folder, 'faiss.trained_index'), await readFile(trained));
      }
      const result = await finish(keys, logged);
      expect(result.resumedRows).toBe(0);
      expect(messages).toContain(
        'The unfinished index that is there is not used: it belongs to another datastore, training or kind of index',
      );
    }
  });

  it.each(['faiss.index.partial', 'faiss.index.partial.json'])(
    'begins again when its %s is damaged',
    async (name) => {
      const source = new MemorySource(vectors, dimension);
      await interrupt(source, options, 1500);
      const path = join(source.folder, name);
      const bytes = await readFile(path);
      bytes[bytes.length - 40] ^= 1;
      await writeFile(path, bytes);
      const { options: logged, messages } = messagesOf(options);
      expect(await finish(source, logged)).toMatchObject({ resumedRows: 0, size: rows });
      expect(messages.some((message) => message.includes('is not used'))).toBe(true);
    },
  );

  it('begins again with overwrite', async () => {
    const source = new MemorySource(vectors, dimension);
    await interrupt(source, options, 1500);
    expect((await finish(source, { ...options, overwrite: true })).resumedRows).toBe(0);
  });

  it('removes what a killed process has left', async () => {
    const source = new MemorySource(vectors, dimension);
    await interrupt(source, options, 1500);
    // No process has this number: Linux's end at 2^22.
    const left = join(source.folder, '.faiss.index.partial.next.99999999.ab12cd34.tmp');
    await writeFile(left, 'half an index');
    await finish(source, options);
    expect(existsSync(left)).toBe(false);
  });

  it('that is killed at any moment gives the same file in the end', async () => {
    const whole = new MemorySource(vectors, dimension);
    const expected = await readFile((await finish(whole, options)).path);
    const keys = join(newFolder(), 'vectors');
    await writeFile(keys, vectors);
    const script = (folder: string): string => `
      const source = ${fileSource(keys, folder, rows, dimension)};
      await index.buildIndex(source, ${JSON.stringify({ ...options, batchSize: 100, threads: 1, saveIntervalMs: 0 })});`;
    let folder = newFolder();
    for (let kills = 0; kills < KILLS;) {
      const finished = await runAndKill(script(folder), Math.random() * 40);
      if (!finished) kills++;
      if (finished || kills === KILLS) {
        if (!finished) await runAndKill(script(folder), 60_000);
        expect((await readFile(join(folder, 'faiss.index'))).equals(expected)).toBe(true);
        expect((await readdir(folder)).filter((name) => name.includes('partial'))).toEqual([]);
        folder = newFolder();
      }
    }
  }, 120_000);
});
