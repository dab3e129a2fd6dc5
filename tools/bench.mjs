// Runs the benchmarks of a package: npm run bench -- index [arguments of the benchmark]
// Without a name it lists them. Each prints ratios against a baseline that runs beside it.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const shortNames = { lm: 'lm-runtime' };
const benchmarks = readdirSync(join(root, 'packages'))
  .filter((name) => existsSync(join(root, 'packages', name, 'bench')))
  .map((name) => ({
    name,
    scripts: readdirSync(join(root, 'packages', name, 'bench')).filter((file) => file.endsWith('.mjs')),
  }));

const [wanted, ...rest] = process.argv.slice(2);
const name = shortNames[wanted] ?? wanted;
const found = benchmarks.find(
  (benchmark) => benchmark.name === name || benchmark.scripts.includes(`${name}.mjs`),
);
if (found === undefined) {
  const known = benchmarks
    .map((benchmark) => `  ${benchmark.name}: ${benchmark.scripts.join(', ')}`)
    .join('\n');
  console.error(`usage: npm run bench -- PACKAGE [arguments]\n\n${known}`);
  process.exit(wanted === undefined ? 0 : 2);
}
const scripts = found.name === name ? found.scripts : [`${name}.mjs`];
for (const script of scripts) {
  console.log(`== ${found.name}: ${script}`);
  const { status } = spawnSync(
    process.execPath,
    [join(root, 'packages', found.name, 'bench', script), ...rest],
    { stdio: 'inherit' },
  );
  if (status !== 0) process.exit(status ?? 1);
}
