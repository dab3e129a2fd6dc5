import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { goldenPath, queries, withCode } from '../test/golden.js';
import { FaissIndex } from './faiss-index.js';
import type { FaissInfo } from './faiss-info.js';
import { loadAddonFile } from './native.js';

const packageFolder = fileURLToPath(new URL('..', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'knn-lm-faiss-process-'));

/** Runs a module in a process of its own, against the built package. */
async function run(
  source: string,
  environment: Record<string, string> = {},
): Promise<{ stdout: string; stderr: string; elapsed: number }> {
  const start = performance.now();
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '-e', `import { FaissIndex } from '@knn-lm/faiss';\n${source}`],
    { cwd: packageFolder, timeout: 60_000, env: { ...process.env, ...environment } },
  );
  return { stdout, stderr, elapsed: performance.now() - start };
}

const bigIndex = `
const index = FaissIndex.flatL2(256);
await index.add(new Float32Array(256 * 20000).map((_, i) => Math.sin(i)));
const longSearch = () => index.search(new Float32Array(256 * 20000).fill(0.5), 512, { threads: 1 });
`;

describe('the process', () => {
  it('ends at once although searches are running', async () => {
    const { elapsed, stdout } = await run(`${bigIndex}
      for (let i = 0; i < 4; i++) void longSearch();
      setTimeout(() => { console.log(performance.now()); process.exit(0); }, 100);`);
    // The search alone takes tens of seconds.
    expect(elapsed - Number(stdout)).toBeLessThan(5000);
  });

  it('survives a worker that is terminated while it searches', async () => {
    const { stdout } = await run(`
      import { Worker } from 'node:worker_threads';
      const source = \`import { FaissIndex } from '@knn-lm/faiss';
        import { parentPort } from 'node:worker_threads';
        const index = FaissIndex.flatL2(64);
        await index.add(new Float32Array(64 * 2000).map((_, i) => Math.sin(i)));
        const search = () => index.search(new Float32Array(64 * 500), 64, { threads: 1 }).then(search);
        for (let i = 0; i < 3; i++) void search();
        parentPort.postMessage('searching');\`;
      const file = process.cwd() + '/build/.worker-' + process.pid + '.mjs';
      const fs = await import('node:fs');
      fs.writeFileSync(file, source);
      for (let i = 0; i < 5; i++) {
        const worker = new Worker(file, { execArgv: [] });
        await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
        await new Promise((resolve) => setTimeout(resolve, 5 * i));
        await worker.terminate();
      }
      fs.rmSync(file);
      const index = FaissIndex.flatL2(2);
      await index.add(Float32Array.of(1, 2));
      console.log((await index.search(Float32Array.of(1, 2), 1)).ids[0]);`);
    expect(stdout).toBe('0\n');
  });

  it('hears nothing of Faiss on its standard streams', async () => {
    const { stdout, stderr } = await run(`
      const vectors = new Float32Array(16 * 300).map((_, i) => Math.sin(i));
      for (const index of [FaissIndex.ivfPq({ dimension: 16, centroids: 20, codeSize: 4 }), FaissIndex.factory(16, 'PQ4np'),
        FaissIndex.factory(16, 'IVF16,PQ4x4fs'), FaissIndex.factory(16, 'OPQ4,IVF16,PQ4np')]) {
        await index.train(vectors);
        await index.add(vectors);
        await index.search(vectors, 3);
      }`);
    expect(stdout + stderr).toBe('');
  });

  it('has waiting, not spinning, OpenMP threads', async () => {
    const { stdout } = await run(`FaissIndex.flatL2(1); console.log(process.env.OMP_WAIT_POLICY);`);
    expect(stdout).toBe('passive\n');
  });
});

describe('the addon with Debian’s library', () => {
  // With AVX2 sums are taken in another order, and so they are by OpenBLAS's kernels for other processors.
  it('trains the bytes that Python trains, where OpenBLAS has the kernel that the golden file was made with', async () => {
    const path = join(folder, 'debian.index');
    const { stdout } = await run(
      `
      import { faissInfo } from '@knn-lm/faiss';
      import { readFileSync } from 'node:fs';
      import { float32FromFloat16 } from '@knn-lm/common';
      const bytes = readFileSync(${JSON.stringify(goldenPath('vectors.f16'))});
      const vectors = float32FromFloat16(new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
      const index = FaissIndex.ivfPq({ dimension: 16, centroids: 12, codeSize: 4, bitsPerIndex: 6 });
      index.nprobe = 3;
      await index.train(vectors, { threads: 1 });
      await index.write(${JSON.stringify(path)});
      console.log(JSON.stringify(faissInfo()));`,
      { KNN_LM_FAISS: 'debian' },
    );
    const info = JSON.parse(stdout) as FaissInfo;
    expect(info.optimization).toBe('generic');
    const mine = await readFile(path);
    const theirs = await readFile(goldenPath('ivfpq.trained_index'));
    expect(mine.length).toBe(theirs.length);
    if (info.version === '1.7.3' && info.openBlas?.includes('SkylakeX'))
      expect(mine.equals(theirs)).toBe(true);
    else expect(mine.subarray(0, 98)).toEqual(theirs.subarray(0, 98));
  });
});

describe('an addon that cannot be loaded', () => {
  it('is an error with a hint', async () => {
    expect(() => loadAddonFile(join(folder, 'none.node'))).toThrow(withCode('FAISS_ADDON_MISSING'));
    const broken = join(folder, 'broken.node');
    await writeFile(broken, 'not a library');
    expect(() => loadAddonFile(broken)).toThrow(
      expect.objectContaining({
        code: 'FAISS_ADDON_MISSING',
        hint: expect.stringContaining('npm run setup') as string,
      }) as Error,
    );
  });
});

const python = '/usr/bin/python3';
const pythonHasFaiss = spawnSync(python, ['-c', 'import faiss']).status === 0;

describe.skipIf(!pythonHasFaiss)('Python’s Faiss', () => {
  it('finds in our file what we find', async () => {
    const index = await FaissIndex.read(goldenPath('ivfpq.trained_index'));
    await index.add(queries);
    index.nprobe = 5;
    const path = join(folder, 'ours.index');
    await index.write(path);
    const { ids, distances } = await index.search(queries, 7);
    index.close();
    const source = `
import sys, json, faiss, numpy as np
index = faiss.read_index(sys.argv[1])
d, i = index.search(np.array(json.loads(sys.argv[2]), 'f4').reshape(-1, 16), 7)
print(json.dumps([index.nprobe, index.ntotal, i.ravel().tolist(), [float(v) for v in d.ravel()]]))`;
    const { stdout } = await promisify(execFile)(python, ['-c', source, path, JSON.stringify([...queries])]);
    const found = JSON.parse(stdout) as [number, number, number[], number[]];
    expect(found.slice(0, 3)).toEqual([5, 20, [...ids]]);
    found[3].forEach((distance, i) => expect(distances[i]).toBeCloseTo(distance, 3));
  });
});
