// Tokens per second and memory of preprocessing, beside `wc -w` and a plain read of the same text:
//   node packages/binarizer/bench/binarizer.mjs [--tokens 20000000] [--workers 1,2] [--repeats 5] [--vocabulary 270000]
// Every measurement is a process of its own. CPU seconds (user and system, all threads) hardly change when the machine has
// other work to do; wall seconds do: trust those only on an idle machine, which the load average tells.
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { fixture, fixturesFolder } from '@knn-lm/testing';
import { preprocess } from '../dist/index.js';
import { writeZipfCorpus } from './support/zipf-corpus.mjs';

/** What a child does: preprocesses a text, and prints what it took. */
async function measureHere(trainpref, workers) {
  const destdir = `${trainpref}.out`;
  const cpuStart = process.cpuUsage();
  const start = performance.now();
  const { splits, dictionary } = await preprocess({ onlySource: true, trainpref, destdir, workers });
  const wallSeconds = (performance.now() - start) / 1e3;
  const { user, system } = process.cpuUsage(cpuStart);
  rmSync(destdir, { recursive: true });
  const megabytes = process.resourceUsage().maxRSS / 1024;
  const [{ tokens }] = splits;
  const cpuSeconds = (user + system) / 1e6;
  console.log(JSON.stringify({ tokens, types: dictionary.size, wallSeconds, cpuSeconds, megabytes }));
}

function preprocessInChild(path, workers) {
  const script = fileURLToPath(import.meta.url);
  return JSON.parse(
    execFileSync(process.execPath, [script, 'measure', path, String(workers)], { encoding: 'utf8' }),
  );
}

/** Wall and CPU seconds of a shell command, as the shell's own `times` tells them. */
function shellSeconds(command) {
  const start = performance.now();
  const output = execFileSync('sh', ['-c', `${command} > /dev/null; times`], { encoding: 'utf8' });
  const wallSeconds = (performance.now() - start) / 1e3;
  const children = output.trim().split('\n').at(-1);
  const cpuSeconds = [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, m, s]) => sum + m * 60 + +s,
    0,
  );
  return { wallSeconds, cpuSeconds };
}

function summary(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return { min: sorted[0], median: sorted[sorted.length >> 1], max: sorted.at(-1) };
}

const shown = ({ min, median, max }, digits) =>
  [min, median, max].map((value) => value.toFixed(digits).padStart(7)).join(' /');

async function benchText(title, path, workerCounts, repeats) {
  const megabytes = statSync(path).size / 1e6;
  const runs = new Map(['plain read', 'wc -w', ...workerCounts].map((name) => [name, []]));
  // Round after round, so that a disturbance meets all of them.
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [name, results] of runs) {
      if (name === 'plain read') results.push(shellSeconds(`cat '${path}'`));
      else if (name === 'wc -w') results.push(shellSeconds(`LC_ALL=C wc -w '${path}'`));
      else results.push(preprocessInChild(path, name));
    }
  }
  const { tokens, types } = runs.get(workerCounts[0])[0];
  console.log(
    `\n${title}: ${(tokens / 1e6).toFixed(1)} million tokens, ${types} types, ${megabytes.toFixed(0)} MB`,
  );
  console.log(
    `${''.padEnd(12)}  seconds (min / median / max)                                   best, million tokens/s`,
  );
  console.log(
    `${''.padEnd(12)}  ${'wall'.padEnd(26)} ${'CPU'.padEnd(26)} of wall   of CPU   peak MB   CPU against wc, read`,
  );
  const best = (name, field) => summary(runs.get(name).map((run) => run[field])).min;
  for (const [name, results] of runs) {
    const label = typeof name === 'number' ? `${name} worker${name > 1 ? 's' : ''}` : name;
    const [wall, cpu] = ['wallSeconds', 'cpuSeconds'].map((field) =>
      summary(results.map((run) => run[field])),
    );
    const memory =
      results[0].megabytes === undefined ? '' : summary(results.map((run) => run.megabytes)).max.toFixed(0);
    const against = ['wc -w', 'plain read']
      .map((other) => (cpu.min / best(other, 'cpuSeconds')).toFixed(1))
      .join(', ');
    const rates = [wall.min, cpu.min]
      .map((seconds) => (tokens / 1e6 / seconds).toFixed(1).padStart(7))
      .join('  ');
    console.log(
      `${label.padEnd(12)} ${shown(wall, 2)} ${shown(cpu, 2)}  ${rates}   ${memory.padStart(7)}   ${against}`,
    );
  }
  const [first, ...others] = workerCounts;
  for (const count of others) {
    const ratio = best(first, 'wallSeconds') / best(count, 'wallSeconds');
    console.log(
      `${count} workers are ${ratio.toFixed(2)} times as fast as ${first} (wall, best of ${repeats})`,
    );
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      tokens: { type: 'string', default: '20000000' },
      vocabulary: { type: 'string', default: '270000' },
      workers: { type: 'string', default: '1,2' },
      repeats: { type: 'string', default: '5' },
    },
  });
  const workerCounts = values.workers.split(',').map(Number);
  const repeats = Number(values.repeats);
  const folder = await mkdtemp(join(tmpdir(), 'knn-lm-bench-'));
  console.log(
    `${cpus()[0].model}, ${availableParallelism()} cores, load ${loadavg()[0].toFixed(1)}, Node.js ${process.version}`,
  );
  try {
    const zipf = join(folder, 'zipf.txt');
    await writeZipfCorpus(zipf, Number(values.tokens), Number(values.vocabulary));
    await benchText('Zipf', zipf, workerCounts, repeats);
    const packed = fixturesFolder && fixture('corpus', 'text', 'wiki.train.tokens.gz');
    if (packed && existsSync(packed)) {
      const real = join(folder, 'wiki.train.tokens');
      writeFileSync(real, gunzipSync(await readFile(packed)));
      await benchText('English', real, workerCounts, repeats);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  console.log(`\nload ${loadavg()[0].toFixed(1)} at the end`);
}

if (process.argv[2] === 'measure') await measureHere(process.argv[3], Number(process.argv[4]));
else await main();
