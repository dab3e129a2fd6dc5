// Recomputation of distances: ours, against copying the same number of rows in C++ and against NumPy as the Python
// recipe does it; and with the keys on the disk, where `--cold` is given and this may empty the operating system's cache.
//
//   node bench/recompute.mjs [--rows 300000] [--dimension 1024] [--queries 64] [--k 1024] [--rounds 7]
//       [--near 0] [--threads 1] [--cold]
//
// Rows are random (`--near N`: from N consecutive ones that the queries of a batch share, as neighbours do) and in the
// page cache; medians of CPU time. Each way makes all its rounds at a stretch, after one that does not count, for it finds
// the processor's caches full of what came before. Read the ratios: a machine that does other work at the same time changes
// the numbers, hardly the order.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
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
    near: { type: 'string', default: '0' },
    threads: { type: 'string', default: '1' },
    cold: { type: 'boolean', default: false },
  },
});
const names = ['rows', 'dimension', 'queries', 'k', 'rounds', 'near', 'threads'];
const [rows, dimension, queries, k, rounds, near, threads] = names.map((name) => Number(flags[name]));
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
  const native = await Datastore.open(folder, { rows, dimension, dtype: 'fp16', engine: 'native' });
  const portable = await Datastore.open(folder, { rows, dimension, dtype: 'fp16', engine: 'portable' });
  await native.moveToMemory();
  const way = (name, datastore, options) => ({ name, datastore, options });
  const ways = native.kernels.flatMap((kernel) => [
    way(`native, ${kernel}, mapped`, native, { kernel, access: 'mapped' }),
    way(`native, ${kernel}, read in order`, native, { kernel, access: 'read' }),
  ]);
  ways.push(way('portable', portable, {}));
  const idsOfRounds = Array.from({ length: rounds }, randomIds);
  const results = [];
  for (const { name, datastore, options } of ways) {
    await measure(datastore, options, idsOfRounds.at(-1));
    const times = [];
    for (const ids of idsOfRounds) times.push((await measure(datastore, options, ids)).cpuMs);
    results.push({ name: `${name}, ${threads} threads`, ms: middle(times) });
  }
  if (flags.cold) results.push(...(await cold(native)));
  native.close();
  portable.close();
  return results;
}

/** Time on the clock, as the disk is what takes it. */
async function cold(datastore) {
  const ways = ['mapped', 'read'].map((access) => ({ access, times: [] }));
  for (let round = 0; round < rounds; round++) {
    for (const { access, times } of ways) {
      // Pages that are mapped stay in the cache: another datastore is opened for each round.
      const fresh = await Datastore.open(folder, { rows, dimension, dtype: 'fp16', engine: 'native' });
      datastore.close();
      spawnSync('sync');
      writeFileSync('/proc/sys/vm/drop_caches', '1');
      times.push((await measure(fresh, { access }, randomIds())).clockMs);
      fresh.close();
    }
  }
  return ways.map(({ access, times }) => ({
    name: `native, ${access}, from the disk (clock)`,
    ms: middle(times),
  }));
}

function randomIds() {
  const first = near > 0 ? Math.floor(Math.random() * (rows - near)) : 0;
  return Float64Array.from(
    { length: queries * k },
    () => first + Math.floor(Math.random() * (near > 0 ? near : rows)),
  );
}

async function measure(datastore, options, ids) {
  const queryKeys = new Float32Array(queries * dimension).fill(0.25);
  const target = new Float32Array(queries * k);
  const [cpu, clock] = [process.cpuUsage(), performance.now()];
  await datastore.squaredDistances(queryKeys, ids, k, target, { threads, ...options });
  const { user, system } = process.cpuUsage(cpu);
  return { cpuMs: (user + system) / 1000, clockMs: performance.now() - clock };
}

function middle(times) {
  return times.sort((a, b) => a - b)[times.length >> 1];
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
