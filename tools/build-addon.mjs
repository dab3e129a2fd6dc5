// Compiles one Node-API addon with the system's C++ compiler, against the headers that npm installed: neither
// node-gyp nor a download of Node's headers is needed.
//
//   node tools/build-addon.mjs --out build/x.node --sources 'native/a.cc,native/b.cc' [--flags=-fopenmp] [--libs=-lfoo]
//                              [--avx2-out build/x-avx2.node]
//
// Runs in the package's folder. `native/*.cc` names all sources of a folder. An addon made from the same sources and
// static libraries with the same command is kept. `--avx2-out` links a second addon, with the Faiss that
// build-faiss.mjs made in place of Debian's; where there is none, an old one is removed.
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { avx2Library } from './build-faiss.mjs';

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    'avx2-out': { type: 'string' },
    sources: { type: 'string' },
    flags: { type: 'string', default: '' },
    libs: { type: 'string', default: '' },
  },
});
const require = createRequire(resolve('package.json'));
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

const headers = [...new Set(sources.map((source) => dirname(source)))].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => /\.(h|hpp)$/.test(name))
    .map((name) => join(folder, name)),
);

const wanted = [addon(values.out, values.libs.split(' ').filter(Boolean))];
if (values['avx2-out'] !== undefined) {
  const library = avx2Library();
  const out = values['avx2-out'];
  if (library === undefined) [out, `${out}.stamp`].forEach((path) => rmSync(path, { force: true }));
  else
    wanted.push(
      addon(
        out,
        values.libs
          .split(' ')
          .filter(Boolean)
          .map((lib) => (lib === '-l:libfaiss.a' ? library : lib)),
      ),
    );
}
const outdated = wanted.filter(({ out, fingerprint }) => !isMade(out, fingerprint));
if (outdated.length === 0) process.exit(0);

mkdirSync(dirname(resolve(values.out)), { recursive: true });
// Two builds at once do not see each other's objects.
const objectFolder = mkdtempSync(join(dirname(resolve(values.out)), '.objects-'));
process.on('exit', () => rmSync(objectFolder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
const objectOf = (source) => join(objectFolder, source.replaceAll('/', '_').replace(/\.cc$/, '.o'));
await compile();
for (const each of outdated) link(each);

function addon(path, libs) {
  const fingerprint = createHash('sha256').update(
    JSON.stringify([flags, libs, compiler, process.arch, process.platform]),
  );
  for (const file of [...sources, ...headers, ...libs.map(staticLibrary).filter(Boolean)]) {
    fingerprint.update(readFileSync(file)).update('\0');
  }
  return { out: resolve(path), libs, fingerprint: fingerprint.digest('hex') };
}

/** The file of a static library: its content goes into the addon. */
function staticLibrary(lib) {
  if (lib.endsWith('.a') && !lib.startsWith('-')) return lib;
  if (!lib.startsWith('-l:')) return undefined;
  const path = spawnSync(compiler, [`-print-file-name=${lib.slice(3)}`], { encoding: 'utf8' }).stdout?.trim();
  return path !== undefined && existsSync(path) ? path : undefined;
}

function isMade(out, fingerprint) {
  return (
    existsSync(out) && existsSync(`${out}.stamp`) && readFileSync(`${out}.stamp`, 'utf8') === fingerprint
  );
}

async function compile() {
  const waiting = [...sources];
  const compileNext = async () => {
    for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
      const { stderr } = await promisify(execFile)(compiler, [
        ...flags,
        '-c',
        source,
        '-o',
        objectOf(source),
      ]);
      process.stderr.write(stderr);
    }
  };
  try {
    await Promise.all(Array.from({ length: availableParallelism() }, compileNext));
  } catch (error) {
    process.stderr.write(error.stderr ?? `${error.message}\n`);
    console.error(`build-addon: compiling ${values.out} failed`);
    process.exit(1);
  }
}

/** Under a temporary name first: a process may have the old one loaded. */
function link({ out, libs, fingerprint }) {
  const temporary = join(objectFolder, 'linked.node');
  const openmp = values.flags.split(' ').filter((flag) => flag === '-fopenmp');
  const args = ['-shared', '-s', '-o', temporary, ...sources.map(objectOf), ...openmp, ...libs];
  if (spawnSync(compiler, args, { stdio: 'inherit' }).status !== 0) {
    console.error(`build-addon: linking ${out} failed`);
    process.exit(1);
  }
  rmSync(`${out}.stamp`, { force: true });
  renameSync(temporary, out);
  writeFileSync(`${out}.stamp`, fingerprint);
}
