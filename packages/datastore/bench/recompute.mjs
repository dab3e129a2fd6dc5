// Recomputation of distances: ours, against copying the same number of rows in C++ and against NumPy as the Python
// recipe does it.
//
//   node bench/recompute.mjs [--rows 300000] [--dimension 1024] [--queries 64] [--k 1024] [--rounds 7]
//
// Rows are random and in the page cache; medians of CPU time. Read the ratios: a machine that does other work at the
// same time changes the numbers, hardly the order.
import { spawnSync } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Datastore } from '../dist/index.js';

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '300000' },
    dimension: { type: 'string', default: '1024' },
    queries: { type: 'string', default: '64' },
    k: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '7' },
  },
});
const names = ['rows', 'dimension', 'queries', 'k', 'rounds'];
const [rows, dimension, queries, k, rounds] = names.map((name) => Number(flags[name]));
const rowBytes = dimension * 2;
const folder = await mkdtemp(join(tmpdir(), 'knn-lm-bench-'));

try {
  await writeArrays();
  const results = [...(await ours()), ...copying(), ...numpy()];
  const best = results[0].ms;
  console.log(
    `${rows} rows of ${dimension} fp16 (${((rows * rowBytes) / 1e9).toFixed(2)} GB), ${queries} queries, k = ${k}`,
  );
  for (const { name, ms } of results) {
    const perQuery = ms / queries;
    const columns = [
      `${perQuery.toFixed(3).padStart(8)} ms/query`,
      `${((k * rowBytes) / perQuery / 1e6).toFixed(2).padStart(6)} GB/s`,
      `${(ms / best).toFixed(2).padStart(6)} x`,
    ];
    console.log(name.padEnd(44), ...columns);
  }
} finally {
  await rm(folder, { recursive: true });
}

async function writeArrays() {
  const keys = await open(join(folder, 'keys.npy'), 'w');
  const chunk = new Uint16Array(1024 * dimension);
  for (let row = 0; row < rows; row += 1024) {
    for (let i = 0; i < chunk.length; i++) chunk[i] = ((Math.random() * 0x10000) & 0x83ff) | 0x3800; // +-0.5 to 1
    await keys.write(new Uint8Array(chunk.buffer, 0, Math.min(1024, rows - row) * rowBytes));
  }
  await keys.close();
  const values = await open(join(folder, 'values.npy'), 'w');
  await values.write(new Uint8Array(rows * 8));
  await values.close();
}

async function ours() {
  const results = [];
  for (const engine of ['native', 'portable']) {
    const datastore = await Datastore.open(folder, { rows, dimension, dtype: 'fp16', engine });
    if (engine === 'native') await datastore.moveToMemory();
    for (const kernel of datastore.kernels)
      results.push({
        name: `${engine}, ${kernel}, one thread`,
        ms: await median(datastore, kernel, 1, 'cpu'),
      });
    const threads = availableParallelism();
    if (engine === 'native')
      results.push({
        name: `native, ${threads} threads (time on the clock)`,
        ms: await median(datastore, datastore.kernels[0], threads, 'clock'),
      });
    datastore.close();
  }
  return results;
}

async function median(datastore, kernel, threads, kind) {
  const queryKeys = datastore.readKeys(0, queries);
  const target = new Float32Array(queries * k);
  const times = [];
  for (let round = 0; round < rounds; round++) {
    const ids = Float64Array.from({ length: queries * k }, () => Math.floor(Math.random() * rows));
    const [cpu, clock] = [process.cpuUsage(), performance.now()];
    await datastore.squaredDistances(queryKeys, ids, k, target, { kernel, threads });
    const { user, system } = process.cpuUsage(cpu);
    times.push(kind === 'cpu' ? (user + system) / 1000 : performance.now() - clock);
  }
  return times.sort((a, b) => a - b)[rounds >> 1];
}

function copying() {
  const program = join(folder, 'copy_rows');
  const source = fileURLToPath(new URL('copy_rows.cc', import.meta.url));
  if (spawnSync(process.env.CXX ?? 'g++', ['-O3', source, '-o', program]).status !== 0) return [];
  const { stdout } = spawnSync(
    program,
    [join(folder, 'keys.npy'), rows, rowBytes, queries * k, rounds].map(String),
  );
  return [{ name: 'memcpy of the rows alone', ms: Number(String(stdout).split(' ')[0]) }];
}

function numpy() {
  const script = fileURLToPath(new URL('recompute.py', import.meta.url));
  const { status, stdout } = spawnSync(
    '/usr/bin/python3',
    [script, folder, ...[rows, dimension, queries, k, rounds].map(String)],
    { env: { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' } },
  );
  return status === 0 ? [{ name: 'NumPy', ms: Number(stdout) }] : [];
}
