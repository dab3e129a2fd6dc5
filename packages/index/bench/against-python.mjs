// CPU time of training, adding and searching: ours against Python's Faiss, on the same vectors in the same run; and fast
// scan against IVFPQ at the same code size.
//
//   node packages/index/bench/against-python.mjs [vectors=200000] [dimension=256] [lists=64] [bytes=64] [k=1024]
//
// Few lists, so that they are long, as those of a large datastore are (25,000 keys each at 103 million in 4,096): with
// short lists (try 1024 of them) a search is spent on fetching each list's table from memory, and most of what it scans is
// among the k nearest so far.
//
// Prints seconds of CPU time (all threads, medians) and how many times as fast ours is; without python3-faiss, ours
// alone. KNN_LM_FAISS=debian measures the addon without AVX2.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FaissIndex, faissInfo } from '@knn-lm/faiss';

const given = process.argv.slice(2).map(Number);
const [vectors = 200_000, dimension = 256, centroids = 64, codeSize = 64, k = 1024] = given;
const queries = 512;
const trainingVectors = 10_000;
const nprobe = 32;
const repeats = 3;
// Twice as many codes of half the bits: the same bytes a vector.
const fastScan = `IVF${centroids},PQ${codeSize * 2}x4fs`;
const folder = mkdtempSync(join(tmpdir(), 'knn-lm-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

let state = 1;
const random = () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.5;
const keys = Float32Array.from({ length: vectors * dimension }, random);
writeFileSync(join(folder, 'keys.f32'), keys);

async function cpuSeconds(work) {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
const median = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)];

async function ours(make, threads) {
  const index = make();
  const train = await cpuSeconds(() =>
    index.train(keys.subarray(0, trainingVectors * dimension), { threads }),
  );
  const add = await cpuSeconds(async () => {
    for (let row = 0; row < vectors; row += 8192) {
      await index.add(keys.subarray(row * dimension, (row + 8192) * dimension), { threads });
    }
  });
  index.nprobe = nprobe;
  const searching = [];
  for (let i = 0; i < repeats; i++) {
    searching.push(
      await cpuSeconds(() => index.search(keys.subarray(0, queries * dimension), k, { threads })),
    );
  }
  index.close();
  return { train, add, search: median(searching) };
}

const script = `
import sys, time, json, faiss, numpy as np
folder, d, queries, k, codes, training, centroids, nprobe, repeats, threads = sys.argv[1], *map(int, sys.argv[2:])
keys = np.fromfile(folder + '/keys.f32', 'f4').reshape(-1, d)
faiss.omp_set_num_threads(threads)
def cpu(work):
    start = time.process_time(); work(); return time.process_time() - start
index = faiss.IndexIVFPQ(faiss.IndexFlatL2(d), d, centroids, codes, 8)
train = cpu(lambda: index.train(keys[:training]))
add = cpu(lambda: index.add_with_ids(keys, np.arange(len(keys))))
index.nprobe = nprobe
search = sorted(cpu(lambda: index.search(keys[:queries], k)) for _ in range(repeats))[repeats // 2]
print(json.dumps({'train': train, 'add': add, 'search': search}))
`;
function python(threads) {
  const numbers = [dimension, queries, k, codeSize, trainingVectors, centroids, nprobe, repeats, threads];
  try {
    return JSON.parse(
      execFileSync('/usr/bin/python3', ['-c', script, folder, ...numbers.map(String)], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        // One thread is one thread: OpenBLAS keeps its own count.
        env: { ...process.env, OMP_WAIT_POLICY: 'passive', OPENBLAS_NUM_THREADS: String(threads) },
      }),
    );
  } catch {
    return undefined;
  }
}

const { version, optimization } = faissInfo();
console.log(
  `Faiss ${version}, ${optimization}; ${vectors} vectors of ${dimension} dimensions, ${centroids} lists`,
);
console.log(
  `training on ${trainingVectors}; ${queries} queries, nprobe ${nprobe}, k ${k}; ${codeSize} bytes a vector\n`,
);
const columns = [9, 8, 13, 15, 0];
const row = (...cells) => console.log(cells.map((cell, i) => String(cell).padEnd(columns[i])).join(''));
row('threads', 'work', 'ours, CPU s', 'Python, CPU s', 'times as fast');
for (const threads of [1, 2]) {
  const mine = await ours(() => FaissIndex.ivfPq({ dimension, centroids, codeSize }), threads);
  const theirs = python(threads);
  for (const work of ['train', 'add', 'search']) {
    const ratio = theirs === undefined ? '-' : (theirs[work] / mine[work]).toFixed(2);
    row(threads, work, mine[work].toFixed(2), theirs?.[work].toFixed(2) ?? '-', ratio);
  }
  if (threads > 1) continue;
  const fast = await ours(() => FaissIndex.factory(dimension, fastScan), threads);
  const times = (search) => (search === undefined ? '-' : (search / fast.search).toFixed(2));
  console.log(
    `${fastScan}: search ${fast.search.toFixed(3)} CPU s, ${times(theirs?.search)} times as fast as Python's IVFPQ, ` +
      `${times(mine.search)} times as fast as IVFPQ here`,
  );
}
