// A Slurm cluster on this machine alone: a controller and two nodes of one core each on loopback, for tests and for
// trying scripts. Needs no systemd and changes nothing outside its folder.
//
//   node tools/slurm-loopback.mjs start DIR     starts it; prints the line that points Slurm's clients to it
//   node tools/slurm-loopback.mjs stop DIR      stops the daemons by their pid files, and what their jobs left behind
//   node tools/slurm-loopback.mjs install       installs Debian's packages, as root, where they are missing
//   node tools/slurm-loopback.mjs install --check   says what is missing, and installs nothing
//
//   node tools/slurm-loopback.mjs guard DIR     waits for the end of standard input; stops the cluster in DIR/cluster and
//                                               removes DIR (for tests, whose process may be killed)
//
// For programs: `missingPrograms`, `installSlurm`, `startCluster`, `guardFolder`.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { hostname, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const PACKAGES = ['slurmctld', 'slurmd', 'slurm-client', 'munge'];
/** Daemons live in /usr/sbin, which is not on every user's path. */
const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'squeue', 'scontrol', 'scancel'];
const START_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 30_000;
/** Seconds without a sign of life after which the controller gives a node up, and queues its jobs again. */
const NODE_TIMEOUT_S = 15;

/** Names of the programs that are needed and not there. */
export function missingPrograms() {
  return PROGRAMS.filter((name) => programPath(name) === undefined);
}

/**
 * Installs Debian's packages where programs are missing and this is root.
 *
 * @returns why there is no Slurm here; undefined where there is
 */
export function installSlurm() {
  if (missingPrograms().length === 0) return undefined;
  if (process.platform !== 'linux') return `Slurm runs on Linux, not on ${process.platform}`;
  if (process.getuid() !== 0) return `${missingPrograms().join(', ')} missing, and installing takes root`;
  const apt = (...args) =>
    spawnSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=120', ...args], {
      encoding: 'utf8',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  const install = () => apt('install', '-y', '--no-install-recommends', ...PACKAGES);
  const done = inFolderWithoutServices(() => {
    if (install().status === 0) return undefined;
    apt('update');
    return install();
  });
  const missing = missingPrograms();
  if (missing.length === 0) return undefined;
  const lines = (done?.stderr ?? done?.error?.message ?? '').trim().split('\n');
  return `${missing.join(', ')} missing after apt-get install: ${lines[lines.length - 1]}`;
}

/**
 * Debian's packages start their services; this file is Debian's way to say no. One that is there already is left alone.
 */
function inFolderWithoutServices(action) {
  const policy = '/usr/sbin/policy-rc.d';
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return action();
  } finally {
    if (ours) spawnSync('rm', ['-f', policy]);
  }
}

function programPath(name) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/**
 * Starts a cluster whose files are all in one folder.
 *
 * @param folder - scratch folder; state of an earlier start is used again
 * @returns `env` for Slurm's clients, `stop()`, and for each node `startNode(name)`, `killDaemon(name)`, which leaves its
 * tasks running, and `loseNode(name)`, which kills everything on it at once; the last two return when all of it is dead
 */
export async function startCluster(folder) {
  const dir = resolve(folder);
  const missing = missingPrograms();
  if (missing.length > 0)
    throw new Error(`${missing.join(', ')} missing: node tools/slurm-loopback.mjs install`);
  for (const name of ['state', 'spool/n1', 'spool/n2', 'log', 'munge', 'cgroup']) {
    mkdirSync(join(dir, name), { recursive: true });
  }
  writeFileSync(join(dir, 'cgroup.conf'), cgroupConfiguration(dir));
  const conf = join(dir, 'slurm.conf');
  if (!existsSync(conf)) writeFileSync(conf, configuration(dir, await freePorts(3)));
  const env = { SLURM_CONF: conf };
  const cluster = {
    folder: dir,
    env,
    nodes: ['n1', 'n2'],
    startNode: (name) => startNode(dir, name),
    killDaemon: (name) => killDaemon(dir, name),
    loseNode: (name) => loseNode(dir, name),
    stop: () => stopCluster(dir),
  };
  try {
    await startMunge(dir);
    daemon('slurmctld', ['-f', conf], dir);
    await until(() => isAlive(join(dir, 'ctld.pid')), 'slurmctld does not start', join(dir, 'log/ctld.log'));
    for (const name of cluster.nodes) startNode(dir, name);
    await until(() => idleNodes(env) === 2, 'the nodes do not become idle', join(dir, 'log/ctld.log'));
  } catch (error) {
    await stopCluster(dir);
    throw error;
  }
  return cluster;
}

/** Jobs are process groups here: the daemons are to look for no control groups of the system, which containers lack. */
function cgroupConfiguration(dir) {
  return `CgroupPlugin=cgroup/v1\nCgroupMountpoint=${dir}/cgroup\n`;
}

function configuration(dir, [controllerPort, ...nodePorts]) {
  const host = hostname();
  const user = userInfo().username;
  const nodes = nodePorts.map(
    (port, i) =>
      `NodeName=n${i + 1} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${port} CPUs=1 RealMemory=4000`,
  );
  return `${[
    'ClusterName=loop',
    `SlurmctldHost=${host}(127.0.0.1)`,
    'AuthType=auth/munge',
    `AuthInfo=socket=${dir}/munge/socket`,
    `SlurmUser=${user}`,
    `SlurmdUser=${user}`,
    `StateSaveLocation=${dir}/state`,
    `SlurmdSpoolDir=${dir}/spool/%n`,
    `SlurmctldPidFile=${dir}/ctld.pid`,
    `SlurmdPidFile=${dir}/%n.pid`,
    `SlurmctldPort=${controllerPort}`,
    `SlurmctldLogFile=${dir}/log/ctld.log`,
    `SlurmdLogFile=${dir}/log/%n.log`,
    // A job's processes are its process groups.
    'ProctrackType=proctrack/pgid',
    'TaskPlugin=task/none',
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_Core',
    'SchedulerType=sched/backfill',
    'SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0',
    'SchedulerTimeSlice=5',
    'ReturnToService=2',
    `SlurmdTimeout=${NODE_TIMEOUT_S}`,
    // As long as a busy machine may take: a task that is told to stop commits its work.
    'KillWait=60',
    'MessageTimeout=30',
    'BatchStartTimeout=60',
    'CompleteWait=0',
    'MinJobAge=300',
    'MaxArraySize=1001',
    'MpiDefault=none',
    'MailProg=/bin/true',
    ...nodes,
    'PartitionName=p Nodes=n1,n2 Default=YES MaxTime=60 State=UP',
  ].join('\n')}\n`;
}

/** A munge daemon of our own, with its own key and socket: the system's, if there is one, is not touched. */
async function startMunge(dir) {
  const folder = join(dir, 'munge');
  const pidFile = join(folder, 'munged.pid');
  if (isAlive(pidFile)) return;
  const key = join(folder, 'key');
  if (!existsSync(key)) writeFileSync(key, randomBytes(128), { mode: 0o400 });
  chmodSync(folder, 0o755);
  const files = [`--key-file=${key}`, `--socket=${folder}/socket`, `--pid-file=${pidFile}`];
  daemon('munged', ['--force', ...files, `--log-file=${folder}/log`, `--seed-file=${folder}/seed`], dir);
  await until(() => isAlive(pidFile), 'munged does not start', join(folder, 'log'));
}

function startNode(dir, name) {
  daemon('slurmd', ['-N', name, '-f', join(dir, 'slurm.conf')], dir, join(dir, 'log', `${name}.log`));
}

/** The daemons go to the background by themselves; they change their folder, hence absolute paths everywhere. */
function daemon(name, args, dir, log) {
  const { status, stderr, error } = spawnSync(programPath(name), args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    cwd: dir,
    timeout: START_LIMIT_MS,
  });
  if (status === 0) return;
  const logged =
    log !== undefined && existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').slice(-3) : [];
  const reasons = [error?.message ?? stderr.trim(), ...logged].filter((line) => line !== '');
  throw new Error(`${name} ended with status ${status}: ${reasons.join('; ')}`);
}

function idleNodes(env) {
  const { stdout } = spawnSync('sinfo', ['--noheader', '--Node', '--format=%N %t'], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  return (stdout ?? '').split('\n').filter((line) => line.endsWith(' idle')).length;
}

/** Stops the daemons, the jobs' own first; what does not end by itself is killed. */
export async function stopCluster(folder) {
  const dir = resolve(folder);
  const pidFiles = ['n1.pid', 'n2.pid', 'ctld.pid', 'munge/munged.pid'].map((name) => join(dir, name));
  const jobs = jobProcesses(dir);
  for (const pid of jobs) signal(pid, 'SIGTERM');
  for (const pidFile of pidFiles) {
    // Its file is gone before the daemon is.
    const pid = readPid(pidFile);
    if (!isDaemon(pid)) continue;
    signal(pid, 'SIGTERM');
    const deadline = Date.now() + STOP_LIMIT_MS;
    while (isDaemon(pid) && Date.now() < deadline) await sleep(50);
    if (isDaemon(pid)) signal(pid, 'SIGKILL');
  }
  for (const pid of jobProcesses(dir)) signal(pid, 'SIGKILL');
}

/**
 * Processes that the nodes started for jobs.
 *
 * @param folder - the cluster's
 * @param node - only those of one node
 */
export function jobProcesses(folder, node) {
  return clusterProcesses(folder, (variables) => {
    const ofJob = variables.some((variable) => variable.startsWith('SLURM_JOB_ID='));
    return ofJob && (node === undefined || variables.includes(`SLURMD_NODENAME=${node}`));
  });
}

/** Processes whose environment points to this cluster. */
function clusterProcesses(folder, isWanted = () => true) {
  const mark = `SLURM_CONF=${join(resolve(folder), 'slurm.conf')}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      const variables = readOr(`/proc/${pid}/environ`).split('\0');
      return variables.includes(mark) && isWanted(variables);
    })
    .map(Number);
}

/** The tasks stay, under their own helpers; a new daemon of that name finds them. */
async function killDaemon(dir, name) {
  const pidFile = join(dir, `${name}.pid`);
  signalDaemon(pidFile, 'SIGKILL');
  await until(() => !isAlive(pidFile), `the daemon of ${name} does not die`, join(dir, 'log', `${name}.log`));
}

/** As when a machine loses its power: nothing that ends can tell anybody. */
async function loseNode(dir, name) {
  const tasks = jobProcesses(dir, name);
  // The daemon's helper beside each task would report that it was killed.
  const watchers = tasks.map(parentOf).filter((pid) => readOr(`/proc/${pid}/comm`).startsWith('slurmstepd'));
  signalDaemon(join(dir, `${name}.pid`), 'SIGKILL');
  for (const pid of [...watchers, ...tasks]) signal(pid, 'SIGKILL');
  await killDaemon(dir, name);
  await until(
    () => jobProcesses(dir, name).length === 0,
    `tasks of ${name} do not die`,
    join(dir, 'log', `${name}.log`),
  );
}

/**
 * Sees to it that nothing of a test is left, however its process ends: a process of its own stops the cluster in
 * `folder/cluster`, ends what was started beside it, and removes the folder.
 *
 * @param folder - scratch folder of the test
 * @param options - `keep`: leave the folder
 */
export function guardFolder(folder, { keep = false } = {}) {
  const args = [fileURLToPath(import.meta.url), 'guard', resolve(folder), ...(keep ? ['keep'] : [])];
  const guard = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  guard.unref();
  guard.stdin.unref();
}

async function guard(folder, keep) {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => undefined);
  for await (const _ of process.stdin);
  const dir = join(folder, 'cluster');
  await stopCluster(dir);
  for (const pid of clusterProcesses(dir)) signal(pid, 'SIGKILL');
  if (keep === undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

function parentOf(pid) {
  return Number(/^PPid:\s+(\d+)$/m.exec(readOr(`/proc/${pid}/status`))?.[1]);
}

function readOr(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function readPid(pidFile) {
  const pid = Number(readOr(pidFile).trim());
  return Number.isInteger(pid) && pid > 1 ? pid : undefined;
}

/** Whether the process of a pid file runs, and is one of ours: numbers are given out again. */
function isAlive(pidFile) {
  return isDaemon(readPid(pidFile));
}

function isDaemon(pid) {
  if (pid === undefined) return false;
  const name = readOr(`/proc/${pid}/comm`).trim();
  return (
    ['munged', 'slurmctld', 'slurmd'].includes(name) && !/\nState:\s+Z/.test(readOr(`/proc/${pid}/status`))
  );
}

function signalDaemon(pidFile, name) {
  if (isAlive(pidFile)) signal(readPid(pidFile), name);
}

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

async function until(condition, complaint, logFile) {
  const deadline = Date.now() + START_LIMIT_MS;
  while (!condition()) {
    if (Date.now() > deadline) {
      throw new Error(
        `${complaint}; the end of ${logFile}:\n${readOr(logFile).split('\n').slice(-15).join('\n')}`,
      );
    }
    await sleep(100);
  }
}

async function freePorts(count) {
  const servers = [];
  for (let i = 0; i < count; i++) {
    const server = createServer();
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    servers.push(server);
  }
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

async function main([action, argument, more]) {
  if (action === 'install') {
    if (argument === '--check') return console.log(missingPrograms().join(' ') || 'nothing is missing');
    const reason = installSlurm();
    if (reason !== undefined) throw new Error(reason);
    return undefined;
  }
  if (argument !== undefined && action === 'start') {
    const { env } = await startCluster(argument);
    return console.log(`export SLURM_CONF=${env.SLURM_CONF}`);
  }
  if (argument !== undefined && action === 'stop') return stopCluster(argument);
  if (argument !== undefined && action === 'guard') return guard(argument, more);
  console.error('usage: node tools/slurm-loopback.mjs start DIR | stop DIR | install [--check]');
  process.exitCode = 2;
  return undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(`slurm-loopback: ${error.message}`);
    process.exitCode = 1;
  });
}
