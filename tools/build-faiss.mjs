// Builds Faiss with AVX2 from Debian's source package, once for each machine: Debian's own library is compiled for the
// oldest x86-64 processors and takes twice the time for a search. Called by set-up; uses nothing but Node, the C++
// compiler and apt-get, and needs no root.
//
//   node tools/build-faiss.mjs              builds the library where that is possible and not done yet
//   node tools/build-faiss.mjs --identity   prints what the addon is to be linked with, for caches
//
// The library goes to the user's cache folder ($XDG_CACHE_HOME/knn-lm). It is never needed: whatever goes wrong is one
// line, and Debian's library is used. KNN_LM_FAISS=debian does not try; KNN_LM_FAISS=avx2 tries again after a failure.
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
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const LIBRARY = 'libfaiss_avx2.a';
/** Faiss's own flags for its AVX2 library (faiss/CMakeLists.txt), and those of CMake's release build. */
const FLAGS = '-std=gnu++11 -O3 -DNDEBUG -DFINTEGER=int -fPIC -fopenmp -mavx2 -mfma -mf16c -mpopcnt'.split(
  ' ',
);
/** What those flags need of the processor, as Linux names it. */
const PROCESSOR_FLAGS = ['avx2', 'fma', 'f16c', 'popcnt'];
/** Faiss's library consists of these folders; others hold Python, GPU and C bindings. */
const SOURCE_FOLDERS = ['faiss', 'faiss/impl', 'faiss/invlists', 'faiss/utils'];
const RETRY_AFTER_MS = 24 * 3600 * 1000;
const NETWORK_LIMIT_MS = 120_000;

const compiler = process.env.CXX ?? 'g++';
const choice = process.env.KNN_LM_FAISS ?? '';

/** Path of the library with AVX2 for this machine, or undefined where there is none and Debian's is to be used. */
export function avx2Library() {
  if (choice === 'debian' || unsuitable() !== undefined) return undefined;
  const path = join(libraryFolder(), LIBRARY);
  return existsSync(path) ? path : undefined;
}

/** A line that changes whenever another Faiss is to be linked. */
export function faissIdentity() {
  const debian = query('dpkg-query', ['-W', '-f=${Version}', 'libfaiss-dev']) ?? 'unknown';
  const library = avx2Library();
  const avx2 = library === undefined ? 'none' : `${basename(libraryFolder())} ${statSync(library).size}`;
  return `libfaiss-dev ${debian}; with AVX2: ${avx2}`;
}

/** Why there can be no library with AVX2 here; undefined where there can. */
function unsuitable() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'not an x86-64 Linux';
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1].split(' ') ?? [];
  const missing = PROCESSOR_FLAGS.filter((flag) => !flags.includes(flag));
  if (missing.length > 0) return `the processor has no ${missing.join(', ')}`;
  if (sourceVersion() === undefined) return 'libfaiss-dev is not installed from a Debian package';
  return undefined;
}

let knownVersion;
/** Version of the source package that the installed libfaiss-dev was built from. */
function sourceVersion() {
  knownVersion ??= query('dpkg-query', ['-W', '-f=${source:Version}', 'libfaiss-dev']);
  return knownVersion;
}

function query(program, args) {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return status === 0 && stdout.trim() !== '' ? stdout.trim() : undefined;
}

function cacheFolder() {
  const base = process.env.XDG_CACHE_HOME;
  return join(base !== undefined && base !== '' ? base : join(homedir(), '.cache'), 'knn-lm');
}

/** A library of another compiler may need another C++ runtime: each has its own. */
function libraryFolder() {
  const made = query(compiler, ['-dumpfullversion', '-dumpmachine']) ?? '';
  const recipe = createHash('sha256')
    .update(JSON.stringify([FLAGS, compiler, made]))
    .digest('hex')
    .slice(0, 8);
  return join(cacheFolder(), `faiss-${sourceVersion()}-avx2-${recipe}`);
}

/** Whether running this script would try to build the library. */
export function wantsBuilding() {
  return choice !== 'debian' && unsuitable() === undefined && avx2Library() === undefined && !failedLately();
}

async function main() {
  if (!wantsBuilding()) return;
  const started = Date.now();
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(0)} s`;
  say(`building Faiss ${sourceVersion()} with AVX2, once for this machine (one to two minutes)`);
  let work;
  const remove = () => work !== undefined && rmSync(work, { recursive: true, force: true });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      remove();
      process.exit(1);
    });
  }
  try {
    mkdirSync(cacheFolder(), { recursive: true });
    removeLeftovers();
    work = mkdtempSync(join(cacheFolder(), 'building-'));
    await compile(work, unpack(work, fetchSource(work)));
    install(work);
    say(`Faiss with AVX2 built in ${seconds()}`);
  } catch (error) {
    const reason = firstLine(error);
    say(`Faiss with AVX2 could not be built after ${seconds()} (${reason}); using Debian's library`);
    rememberFailure(reason);
  } finally {
    remove();
  }
}

function failureFile() {
  return `${libraryFolder()}.failed`;
}

/** Every command of the repository runs the set-up: a machine without network is not to try each time. */
function failedLately() {
  if (choice === 'avx2' || !existsSync(failureFile())) return false;
  return Date.now() - statSync(failureFile()).mtimeMs < RETRY_AFTER_MS;
}

function rememberFailure(reason) {
  try {
    writeFileSync(failureFile(), `${reason}\n`);
  } catch {
    // A cache folder that cannot be written to: the next set-up says so again.
  }
}

/** Of builds that were killed. */
function removeLeftovers() {
  for (const name of readdirSync(cacheFolder())) {
    const path = join(cacheFolder(), name);
    if (name.startsWith('building-') && Date.now() - statSync(path).mtimeMs > RETRY_AFTER_MS) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

/**
 * Downloads the source package with apt, which checks its signature; from the sources that the machine has for binary
 * packages, but with lists of its own, so that nothing of the system changes.
 *
 * @returns the tar file
 */
function fetchSource(work) {
  const parts = join(work, 'sources');
  const lists = join(work, 'lists');
  const download = join(work, 'download');
  mkdirSync(parts);
  mkdirSync(join(lists, 'partial'), { recursive: true });
  mkdirSync(download);
  writeSources(parts);
  const options = {
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': parts,
    'Dir::State::lists': lists,
    'Dir::Cache': join(work, 'cache'),
    'Acquire::Languages': 'none',
    'Acquire::Retries': '1',
    'Acquire::http::Timeout': '20',
    'Acquire::https::Timeout': '20',
    // Root otherwise becomes a user who cannot write to root's cache folder.
    ...(process.getuid() === 0 ? { 'APT::Sandbox::User': 'root' } : {}),
  };
  const apt = (...args) => {
    const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    return spawnSync('apt-get', ['-q', ...flags, ...args], {
      cwd: download,
      encoding: 'utf8',
      timeout: NETWORK_LIMIT_MS,
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    });
  };
  // Repositories without sources make it fail although the one that counts has been read: the next command tells.
  const updated = apt('update');
  const fetched = apt('source', '--download-only', `faiss=${sourceVersion()}`);
  const archive = readdirSync(download).find((name) => /\.orig\.tar\.\w+$/.test(name));
  if (fetched.status === 0 && archive !== undefined) return join(download, archive);
  const network = /^[EW]: Failed to fetch.*$/m.exec(updated.stderr ?? '')?.[0];
  const reason = fetched.error?.message ?? network ?? /^E: .*$/m.exec(fetched.stderr ?? '')?.[0];
  throw new Error(`no source package: ${reason ?? 'apt-get failed'}`);
}

/** Copies the machine's package sources, with "deb" turned into "deb-src". */
function writeSources(folder) {
  const places = [
    '/etc/apt/sources.list',
    ...readdirSync('/etc/apt/sources.list.d').map((name) => `/etc/apt/sources.list.d/${name}`),
  ].filter((path) => existsSync(path) && /\.(list|sources)$/.test(path));
  const entries = places.flatMap((path) =>
    readFileSync(path, 'utf8')
      .split(path.endsWith('.list') ? '\n' : /\n\s*\n/)
      .filter((text) => (path.endsWith('.list') ? /^\s*deb\s/.test(text) : /^Types:.*\bdeb\b/im.test(text)))
      .map((text) => ({ text, kind: path.endsWith('.list') ? 'list' : 'sources' })),
  );
  if (entries.length === 0) throw new Error('apt has no package sources');
  // Others may have no source packages, or be slow.
  const origins = [
    ...(query('apt-cache', ['madison', 'libfaiss-dev']) ?? '').matchAll(/\| (\S+?)\/? \S+ \S+ Packages/g),
  ];
  const fitting = entries.filter(({ text }) => origins.some(([, uri]) => text.includes(uri)));
  (fitting.length > 0 ? fitting : entries).forEach(({ text, kind }, i) => {
    const source =
      kind === 'list'
        ? text.replace(/^\s*deb\s/, 'deb-src ')
        : text.replace(/^Types:.*$/im, 'Types: deb-src');
    writeFileSync(join(folder, `${i}.${kind}`), `${source}\n`);
  });
}

/** Debian's patches concern 32-bit processors, NEON and the tests; the headers of libfaiss-dev are those unpacked. */
function unpack(work, archive) {
  const { status, stderr, error } = spawnSync('tar', ['-xf', archive, '-C', work], { encoding: 'utf8' });
  if (status !== 0) throw error ?? new Error(`tar: ${stderr}`);
  const folder = readdirSync(work).find((name) => existsSync(join(work, name, 'faiss', 'Index.h')));
  if (folder === undefined) throw new Error('the source package has no faiss/Index.h');
  return join(work, folder);
}

async function compile(work, source) {
  const objects = join(work, 'objects');
  mkdirSync(objects);
  const files = SOURCE_FOLDERS.flatMap((folder) =>
    readdirSync(join(source, folder))
      .filter((name) => name.endsWith('.cpp'))
      .map((name) => join(folder, name)),
  );
  // Long ones first, so that no core waits at the end.
  const waiting = files.sort((a, b) => statSync(join(source, b)).size - statSync(join(source, a)).size);
  const objectOf = (file) => join(objects, `${file.replaceAll('/', '_')}.o`);
  const all = waiting.map(objectOf);
  let failure;
  const compileNext = async () => {
    for (let file = waiting.shift(); file !== undefined && failure === undefined; file = waiting.shift()) {
      const args = [...FLAGS, '-w', '-I.', '-c', file, '-o', objectOf(file)];
      await promisify(execFile)(compiler, args, { cwd: source }).catch((error) => {
        failure ??= new Error(`${file}: ${error.stderr?.match(/.*error.*/)?.[0] ?? error.message}`);
      });
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, compileNext));
  if (failure !== undefined) throw failure;
  const archived = spawnSync('ar', ['rcsD', join(work, LIBRARY), ...all], { encoding: 'utf8' });
  if (archived.status !== 0) throw archived.error ?? new Error(`ar: ${archived.stderr}`);
}

/** The library appears whole, or not at all. */
function install(work) {
  const made = join(work, 'made');
  mkdirSync(made);
  renameSync(join(work, LIBRARY), join(made, LIBRARY));
  rmSync(failureFile(), { force: true });
  try {
    renameSync(made, libraryFolder());
  } catch (error) {
    // Another set-up was faster.
    if (avx2Library() === undefined) throw error;
  }
}

function firstLine(error) {
  return String(error?.message ?? error)
    .trim()
    .split('\n')[0]
    .slice(0, 200);
}

function say(message) {
  console.error(`setup: ${message}`);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.includes('--identity')) console.log(faissIdentity());
  else await main();
}
