// Sets everything up, and does nothing where that is done already: npm packages from the lock file, Faiss and a compiler
// from Debian's packages, the compiled addons, the built packages; with --browser, for the tests, Chromium too where that
// can be done without asking. Uses nothing but Node, so that it runs right after `git clone`.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { faissIdentity, wantsBuilding } from './build-faiss.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const stampFolder = join(root, 'node_modules', '.knn-lm-setup');
process.chdir(root);

requireNode();
installSystemPackages();
const faissBuilt = startBuildingFaiss();
const browserInstalled = process.argv.includes('--browser') ? startInstallingBrowser() : undefined;
installNpmPackages();
await faissBuilt;
buildPackages();
await browserInstalled;

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  fail(
    `Node.js ${process.versions.node} is too old: 20.19 or newer is needed.`,
    'Install it from https://nodejs.org.',
  );
}

/** What the addons need, and how to see that it is there. */
function missingSystemPackages() {
  const compiler = process.env.CXX ?? 'g++';
  if (spawnSync(compiler, ['--version']).status !== 0) return ['g++', 'libfaiss-dev', 'libopenblas-dev'];
  const missing = [];
  const header = spawnSync(compiler, ['-std=c++17', '-fsyntax-only', '-x', 'c++', '-'], {
    input: '#include <faiss/IndexIVFPQ.h>\n',
  });
  const library = spawnSync(compiler, ['-print-file-name=libfaiss.a']).stdout.toString().trim();
  if (header.status !== 0 || !existsSync(library)) missing.push('libfaiss-dev');
  const blas = spawnSync(compiler, ['-print-file-name=libopenblas.so']).stdout.toString().trim();
  if (!existsSync(blas)) missing.push('libopenblas-dev');
  return missing;
}

function installSystemPackages() {
  const missing = missingSystemPackages();
  if (missing.length === 0) return;
  const isRoot = process.getuid?.() === 0;
  const hasApt = spawnSync('apt-get', ['--version']).status === 0;
  const hasSudo =
    spawnSync('sudo', ['-n', 'true']).status === 0 ||
    (process.stdin.isTTY && spawnSync('sudo', ['-V']).status === 0);
  const advice = `Install ${missing.join(' ')} (Debian and Ubuntu: sudo apt-get install ${missing.join(' ')}), then run the same command again.`;
  if (process.platform !== 'linux' || !hasApt)
    fail(`${missing.join(', ')} cannot be installed from here: there is no apt-get.`, advice);
  if (!isRoot && !hasSudo)
    fail(`${missing.join(', ')} cannot be installed from here: neither root nor sudo.`, advice);
  say(`installing ${missing.join(' ')} from Debian's packages`);
  const apt = (...args) => {
    const command = ['apt-get', '-q', '-o', 'DPkg::Lock::Timeout=120', ...args];
    if (!isRoot)
      command.unshift('sudo', ...(process.stdin.isTTY ? [] : ['-n']), 'DEBIAN_FRONTEND=noninteractive');
    return run(command[0], command.slice(1), { DEBIAN_FRONTEND: 'noninteractive' }, true);
  };
  apt('update');
  if (!apt('install', '-y', '--no-install-recommends', ...missing))
    fail('apt-get install failed (see above).', advice);
  const still = missingSystemPackages();
  if (still.length > 0) fail(`${still.join(', ')} still missing after apt-get install.`, advice);
}

/** Faiss with AVX2, beside npm's downloads. Whether it succeeds or not, the set-up goes on. */
function startBuildingFaiss() {
  if (!wantsBuilding()) return undefined;
  const child = spawn(process.execPath, ['tools/build-faiss.mjs'], { stdio: 'inherit' });
  process.on('exit', () => child.kill());
  return new Promise((resolve) => child.on('exit', resolve).on('error', resolve));
}

/** Chromium, beside npm's downloads, where root can install it. Without one the tests that need it are skipped. */
function startInstallingBrowser() {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const folders = (process.env.PATH ?? '').split(delimiter);
  const isThere =
    process.env.CHROMIUM !== undefined ||
    folders.some((folder) => names.some((name) => existsSync(join(folder, name))));
  const canInstall = process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0;
  if (isThere || !canInstall) return undefined;
  say("installing chromium from Debian's packages, for the tests of the report");
  const apt = 'apt-get -q -o DPkg::Lock::Timeout=120';
  const child = spawn('sh', ['-c', `${apt} update && ${apt} install -y --no-install-recommends chromium`], {
    stdio: 'ignore',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  process.on('exit', () => child.kill());
  return new Promise((resolve) => {
    child.on('error', resolve).on('exit', (code) => {
      if (code !== 0) say('chromium could not be installed: the tests that need a browser are skipped');
      resolve();
    });
  });
}

function installNpmPackages() {
  const packageFiles = [
    'package-lock.json',
    'package.json',
    ...readdirSync('packages').map((name) => `packages/${name}/package.json`),
  ];
  const fingerprint = hash([
    process.version,
    process.platform,
    process.arch,
    ...packageFiles.map((path) => readFileSync(path, 'utf8')),
  ]);
  if (stampIs('npm', fingerprint)) return;
  say('installing the npm packages of the lock file');
  const started = Date.now();
  // onnxruntime-node's install script would fetch CUDA libraries from a NuGet host; the CPU library is in the package.
  const environment = { ONNXRUNTIME_NODE_INSTALL: 'skip' };
  const flags = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  if (!run('npm', flags, environment, true))
    fail('npm ci failed (see above).', 'Check that the npm registry can be reached.');
  stamp('npm', fingerprint);
  say(`npm packages installed in ${seconds(started)}`);
}

function buildPackages() {
  const fingerprint = hash([
    faissIdentity(),
    ...sourceFiles().map((path) => `${path}\0${readFileSync(path, 'utf8')}`),
  ]);
  const built = readdirSync('packages').every((name) => existsSync(`packages/${name}/dist/index.js`));
  if (built && stampIs('build', fingerprint)) return;
  say('compiling the addons and the packages');
  const started = Date.now();
  const flags = ['nx', 'run-many', '-t', 'build', '--outputStyle=static'];
  if (!run('npx', flags, { NX_TUI: 'false', FORCE_COLOR: '0', npm_config_loglevel: 'error' }, true))
    fail('the build failed (see above).', 'If you changed nothing, please report it.');
  stamp('build', fingerprint);
  say(`built in ${seconds(started)}`);
}

function sourceFiles() {
  const folders = [...readdirSync('packages').map((name) => `packages/${name}`), 'tools/testing'];
  const files = ['package-lock.json', 'tsconfig.base.json', 'tools/build-addon.mjs', 'tools/build-faiss.mjs'];
  for (const folder of folders) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath ?? entry.path, entry.name);
      if (entry.isFile() && !/\/(dist|build|node_modules|test|bench)\//.test(path)) files.push(path);
    }
  }
  return files.sort();
}

function run(program, args, environment, quiet) {
  const result = spawnSync(program, args, {
    env: { ...process.env, ...environment },
    stdio: quiet ? ['inherit', 'pipe', 'pipe'] : 'inherit',
    maxBuffer: 2 ** 28,
  });
  if (result.status !== 0 && quiet) process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  return result.status === 0;
}

function stampIs(name, fingerprint) {
  const path = join(stampFolder, name);
  return existsSync(path) && readFileSync(path, 'utf8') === fingerprint;
}

function stamp(name, fingerprint) {
  mkdirSync(stampFolder, { recursive: true });
  if (name === 'npm') rmSync(join(stampFolder, 'build'), { force: true });
  writeFileSync(join(stampFolder, name), fingerprint);
}

function hash(parts) {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part).update('\0');
  return digest.digest('hex');
}

function seconds(started) {
  return `${((Date.now() - started) / 1000).toFixed(0)} s`;
}

function say(message) {
  console.error(`setup: ${message}`);
}

function fail(message, advice) {
  console.error(`setup: ${message}\n       ${advice}`);
  process.exit(1);
}
