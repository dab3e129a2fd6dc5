// Compiles one Node-API addon with the system's C++ compiler, against the headers that npm installed: neither
// node-gyp nor a download of Node's headers is needed.
//
//   node tools/build-addon.mjs --out build/x.node --sources 'native/a.cc,native/b.cc' [--flags=-fopenmp] [--libs=-lfoo]
//
// Runs in the package's folder. `native/*.cc` names all sources of a folder. An addon made from the same sources with
// the same command is kept.
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    sources: { type: 'string' },
    flags: { type: 'string', default: '' },
    libs: { type: 'string', default: '' },
  },
});
const require = createRequire(resolve('package.json'));
const out = resolve(values.out);
const sources = values.sources.split(',').flatMap((source) => {
  if (!source.endsWith('/*.cc')) return [source];
  const names = readdirSync(dirname(source)).filter((name) => name.endsWith('.cc'));
  return names.sort().map((name) => `${dirname(source)}/${name}`);
});
const compiler = process.env.CXX ?? 'g++';
const include = [
  require('node-api-headers').include_dir,
  dirname(require.resolve('node-addon-api/package.json')),
].map((path) => `-I${path}`);
const common = [
  '-std=c++17',
  '-O3',
  '-fPIC',
  '-fvisibility=hidden',
  '-Wall',
  '-DNAPI_VERSION=8',
  '-DNAPI_CPP_EXCEPTIONS',
];
const flags = [...common, ...include, ...values.flags.split(' ').filter(Boolean)];
const libs = values.libs.split(' ').filter(Boolean);

const headers = [...new Set(sources.map((source) => dirname(source)))].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => /\.(h|hpp)$/.test(name))
    .map((name) => join(folder, name)),
);
const fingerprint = createHash('sha256')
  .update(JSON.stringify([flags, libs, compiler, process.arch, process.platform]))
  .update([...sources, ...headers].map((path) => readFileSync(path)).join('\0'))
  .digest('hex');
if (existsSync(out) && existsSync(`${out}.stamp`) && readFileSync(`${out}.stamp`, 'utf8') === fingerprint)
  process.exit(0);

mkdirSync(dirname(out), { recursive: true });
const objectOf = (source) => join(dirname(out), source.replaceAll('/', '_').replace(/\.cc$/, '.o'));
const waiting = [...sources];
async function compileNext() {
  for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
    const { stderr } = await promisify(execFile)(compiler, [...flags, '-c', source, '-o', objectOf(source)]);
    process.stderr.write(stderr);
  }
}
try {
  await Promise.all(Array.from({ length: availableParallelism() }, compileNext));
} catch (error) {
  process.stderr.write(error.stderr ?? `${error.message}\n`);
  console.error(`build-addon: compiling ${values.out} failed`);
  process.exit(1);
}
const objects = sources.map(objectOf);
const linked = spawnSync(
  compiler,
  [
    '-shared',
    '-s',
    '-o',
    `${out}.tmp`,
    ...objects,
    ...values.flags.split(' ').filter((flag) => flag === '-fopenmp'),
    ...libs,
  ],
  {
    stdio: 'inherit',
  },
);
if (linked.status !== 0) {
  console.error(`build-addon: linking ${values.out} failed`);
  process.exit(1);
}
renameSync(`${out}.tmp`, out);
writeFileSync(`${out}.stamp`, fingerprint);
