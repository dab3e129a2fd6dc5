import { execFileSync } from 'node:child_process';
import {
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { randomNumbers, withCode } from '../test/golden.js';
import { FaissIndex } from './faiss-index.js';
import { readIndexFileHeader } from './index-file.js';
import { mergeIndexFiles } from './merge-index-files.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-merge-'));
const dimension = 8;
const rows = 700;
const vectors = randomNumbers(rows * dimension);
const queries = randomNumbers(10 * dimension, 7);
const kinds = ['IVF16,PQ4x4np', 'IVF16,Flat', 'IVF16,SQ8', 'OPQ4,IVF16,PQ4x4np', 'IVF200,PQ2x4np'];
const python = '/usr/bin/python3';
const hasPython = existsSync(python) && pythonRuns('import faiss');

function pythonRuns(script: string): boolean {
  try {
    execFileSync(python, ['-c', script], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Writes the trained index of a kind, and the whole one. */
async function train(kind: string): Promise<{ trained: string; whole: string }> {
  const index = FaissIndex.factory(dimension, kind);
  await index.train(vectors);
  index.nprobe = 7;
  const name = join(folder, kind.replaceAll(',', '-'));
  await index.write(`${name}.trained`);
  await index.add(vectors, { threads: 1 });
  await index.write(`${name}.whole`);
  index.close();
  return { trained: `${name}.trained`, whole: `${name}.whole` };
}

/** Writes the vectors of rows [begin, end) as an index of their own. */
async function part(trained: string, begin: number, end: number) {
  const index = await FaissIndex.read(trained, { trusted: true });
  const ids = Float64Array.from({ length: end - begin }, (_, i) => begin + i);
  if (end > begin)
    await index.addWithIds(vectors.slice(begin * dimension, end * dimension), ids, { threads: 1 });
  const path = `${trained}.${begin}-${end}`;
  await index.write(path);
  index.close();
  return { path, firstId: begin };
}

let ivfPq: { trained: string; whole: string };
let pieces: { path: string; firstId: number }[];
beforeAll(async () => {
  ivfPq = await train('IVF16,PQ4x4np');
  pieces = [
    await part(ivfPq.trained, 0, 256),
    await part(ivfPq.trained, 256, 512),
    await part(ivfPq.trained, 512, rows),
  ];
});

describe('joined index files', () => {
  it.each(kinds)('of %s are the file that one index gives', async (kind) => {
    const { trained, whole } = await train(kind);
    // Cut where the batches of adding end, so that the sums of their products are in the same order.
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.constantFrom(0, 256, 512), { maxLength: 3 }), async (cuts) => {
        const ends = [...cuts.sort((a, b) => a - b), rows];
        const parts = [];
        for (const [i, end] of ends.entries())
          parts.push(await part(trained, i === 0 ? 0 : ends[i - 1], end));
        const path = join(folder, 'joined');
        await mergeIndexFiles(parts, path, { trusted: true });
        expect((await readFile(path)).equals(await readFile(whole))).toBe(true);
      }),
      { numRuns: 6 },
    );
  });

  it('can have their lists in a file of their own, which may be moved with the index', async () => {
    const path = join(folder, 'a', 'on-disk.index');
    await mkdir(join(folder, 'a'));
    const listsPath = join(folder, 'a', 'on-disk.ivfdata');
    const seen: number[] = [];
    await mergeIndexFiles(pieces, path, { listsPath, onProgress: ({ done }) => seen.push(done) });
    expect(seen.at(-1)).toBe(16);
    expect(readIndexFileHeader(path)).toMatchObject({
      size: rows,
      listsFile: { stored: listsPath, path: listsPath },
    });
    const whole = await FaissIndex.read(ivfPq.whole);
    const expected = await whole.search(queries, 20);
    await rename(join(folder, 'a'), join(folder, 'b'));
    const moved = join(folder, 'b', 'on-disk.index');
    for (const map of [false, true]) {
      const index = await FaissIndex.read(moved, { map });
      expect(await index.search(queries, 20)).toEqual(expected);
      expect(index.memoryBytes).toBeLessThan(whole.memoryBytes);
      await expect(index.write(join(folder, 'copy'))).rejects.toThrow(withCode('FAISS_READ_ONLY'));
      await expect(index.add(queries)).rejects.toThrow(withCode('FAISS_READ_ONLY'));
      index.close();
    }
    // From there on, too.
    const again = join(folder, 'again');
    await mergeIndexFiles([{ path: moved }], again);
    expect((await readFile(again)).equals(await readFile(ivfPq.whole))).toBe(true);
    whole.close();
  });

  it('may hold more vectors than the index file has bytes', async () => {
    const index = FaissIndex.ivfPq({ dimension: 2, centroids: 1, codeSize: 1, bitsPerIndex: 1 });
    const many = randomNumbers(2 * 1_100_000);
    await index.train(many.subarray(0, 100));
    await index.add(many);
    const inOne = join(folder, 'many.index');
    await index.write(inOne);
    index.close();
    const path = join(folder, 'many.on-disk');
    await mergeIndexFiles([{ path: inOne }], path, { listsPath: join(folder, 'many.ivfdata') });
    const opened = await FaissIndex.read(path);
    expect((await opened.search(many.subarray(0, 2), 1)).ids).toHaveLength(1);
    expect(opened.size).toBe(1_100_000);
    opened.close();
  });

  it('name lists that are missing or cut short', async () => {
    const path = join(folder, 'damaged.index');
    const listsPath = join(folder, 'damaged.ivfdata');
    await mergeIndexFiles(pieces, path, { listsPath });
    const index = await FaissIndex.read(path);
    await copyFile(listsPath, `${listsPath}.copy`);
    await rm(listsPath);
    for (const use of [
      () => FaissIndex.read(path),
      () => index.search(queries, 1),
      () => mergeIndexFiles([{ path }], path),
    ]) {
      await expect(use()).rejects.toThrow(withCode('FAISS_LISTS_FILE'));
    }
    await copyFile(`${listsPath}.copy`, listsPath);
    await truncate(listsPath, 1000);
    for (const use of [() => FaissIndex.read(path, { map: true }), () => index.search(queries, 1)]) {
      await expect(use()).rejects.toThrow(/1000 bytes/);
    }
    index.close();
  });

  it('survive any change of a byte of the index', async () => {
    const path = join(folder, 'flipped.index');
    const listsPath = join(folder, 'flipped.ivfdata');
    await mergeIndexFiles(pieces, path, { listsPath });
    const bytes = await readFile(path);
    const tail = bytes.length - 16 * 24 - 200;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: tail, max: bytes.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, mask) => {
          const changed = Buffer.from(bytes);
          changed[at] ^= mask;
          const copy = join(folder, `flipped${at}-${mask}`);
          await writeFile(copy, changed);
          const index = await FaissIndex.read(copy).catch((error: unknown) => {
            expect(error).toMatchObject({ code: expect.stringMatching(/^FAISS_/) as string });
          });
          await index?.search(queries, 3);
          index?.close();
          await rm(copy);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('have to come from one trained index, in order, and of a kind with lists', async () => {
    const path = join(folder, 'refused');
    const other = await train('IVF16,PQ4x3np');
    const flat = FaissIndex.flatL2(dimension);
    await flat.add(vectors);
    await flat.write(join(folder, 'flat'));
    flat.close();
    const refused: [readonly { path: string; firstId?: number }[], string][] = [
      [[pieces[0], { path: other.whole }], 'FAISS_MERGE_TRAINING'],
      [[pieces[1], { ...pieces[0], firstId: 256 }], 'FAISS_MERGE_IDS'],
      [[{ path: join(folder, 'flat') }], 'FAISS_MERGE_KIND'],
      [[pieces[0], { path: join(folder, 'absent') }], 'FILE_ENOENT'],
      [[], 'FAISS_ARGUMENT'],
    ];
    for (const [parts, code] of refused) {
      await expect(mergeIndexFiles(parts, path)).rejects.toThrow(withCode(code));
    }
    await expect(mergeIndexFiles(pieces, path, { signal: AbortSignal.abort() })).rejects.toThrow(
      withCode('CANCELLED'),
    );
    await expect(mergeIndexFiles(pieces, join(folder, 'absent', 'x'))).rejects.toThrow(
      withCode('FILE_ENOENT'),
    );
    const left = (await readdir(folder)).filter((name) => name === basename(path) || name.endsWith('.tmp'));
    expect(left).toEqual([]);
  });

  it.skipIf(!hasPython)('are opened by Python’s Faiss, with lists in the file and beside it', async () => {
    const path = join(folder, 'for-python.index');
    await mergeIndexFiles(pieces, path, { listsPath: join(folder, 'for-python.ivfdata') });
    const query = join(folder, 'queries.f32');
    await writeFile(query, queries);
    const script = `
import faiss, numpy as np
queries = np.fromfile(${JSON.stringify(query)}, 'f4').reshape(-1, ${dimension})
whole, onDisk = [faiss.read_index(name) for name in (${JSON.stringify(ivfPq.whole)}, ${JSON.stringify(path)})]
a, b = whole.search(queries, 20), onDisk.search(queries, 20)
assert (a[1] == b[1]).all() and (a[0] == b[0]).all()
lists = faiss.OnDiskInvertedLists(whole.nlist, whole.code_size, ${JSON.stringify(join(folder, 'of-python.ivfdata'))})
lists.merge_from_1(whole.invlists)
whole.replace_invlists(lists)
faiss.write_index(whole, ${JSON.stringify(join(folder, 'of-python.index'))})`;
    execFileSync(python, ['-c', script], { stdio: 'pipe' });
    const again = join(folder, 'python-again');
    await mergeIndexFiles([{ path: join(folder, 'of-python.index') }], again);
    expect((await readFile(again)).equals(await readFile(ivfPq.whole))).toBe(true);
  });
});
