import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryName } from '@knn-lm/common';
import { DatastoreError, describeWriteError } from './error.js';
import { currentProcess, isAlive, type ProcessIdentity } from './process-identity.js';

/** Name of the lock in the datastore's folder. */
export const lockName = 'datastore.lock';

/** How often the holder touches its lock, which is what processes on other machines go by. */
const heartbeatMs = 15_000;

/** A lock held from elsewhere that was not touched for this long belongs to a dead process. */
const silenceMs = 20 * heartbeatMs;

/**
 * The right to write a datastore: a file that names its holder.
 *
 * The file is linked into place with its content, so it is never seen half-written. A lock is stale, and taken over,
 * when its holder is known to be dead (same boot and process namespace, but no process of that number and start time)
 * or, for a holder on another machine or in another container, when it was not touched for five minutes by the clock
 * of the file system. The holder checks before each commit that the lock is still its own, so that a process that
 * slept through its takeover (a suspended laptop, SIGSTOP) stops instead of writing on.
 */
export class WriterLock {
  readonly #path: string;
  readonly #content: string;
  readonly #file: FileHandle;
  readonly #heartbeat: NodeJS.Timeout;

  private constructor(path: string, content: string, file: FileHandle) {
    this.#path = path;
    this.#content = content;
    this.#file = file;
    this.#heartbeat = setInterval(() => {
      // Writing the first byte again, not setting the time: the time is then by the file system's clock. A failure is
      // harmless by itself: the check before the next commit says what is wrong.
      file.write(content.slice(0, 1), 0).catch(() => undefined);
    }, heartbeatMs).unref();
  }

  /**
   * Takes the lock of a datastore's folder.
   *
   * @throws {@link DatastoreError} `DATASTORE_LOCKED` when another process is writing, `DATASTORE_NOT_WRITABLE`,
   * `DATASTORE_DISK_FULL`, `DATASTORE_WRITE_FAILED`
   */
  static async acquire(folder: string): Promise<WriterLock> {
    const path = join(folder, lockName);
    const candidate = temporaryName(path);
    // The token tells two writers of one process apart.
    const content = JSON.stringify({ ...currentProcess(), token: randomBytes(8).toString('hex') });
    try {
      await writeFile(candidate, content, { flag: 'wx' });
      if (!(await linkOnce(candidate, path))) await takeOver(candidate, path);
      return new WriterLock(path, content, await open(path, 'r+'));
    } catch (cause) {
      throw describeWriteError(cause, path, 'nothing was changed');
    } finally {
      await rm(candidate, { force: true });
    }
  }

  /**
   * Checks that nobody took the lock over.
   *
   * @throws {@link DatastoreError} `DATASTORE_LOCK_LOST`
   */
  async assertHeld(): Promise<void> {
    const content = await readFile(this.#path, 'utf8').catch(() => undefined);
    if (content === this.#content) return;
    throw new DatastoreError(
      'DATASTORE_LOCK_LOST',
      `${this.#path} does not name this process any more: ${content === undefined ? 'it is gone' : 'another process took it over'}`,
      {
        hint: 'See which process writes this datastore; run the command again when none does: it resumes.',
        details: { path: this.#path },
      },
    );
  }

  /** Gives the lock back; a lock that is not this process's own any more is left alone. */
  async release(): Promise<void> {
    clearInterval(this.#heartbeat);
    await this.#file.close().catch(() => undefined);
    const content = await readFile(this.#path, 'utf8').catch(() => undefined);
    if (content === this.#content) await rm(this.#path, { force: true }).catch(() => undefined);
  }
}

/** `false` when the name is taken. */
async function linkOnce(candidate: string, path: string): Promise<boolean> {
  try {
    await link(candidate, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // Some file systems have no hard links. Exclusive creation is then the next best: a lock seen empty is in the
    // making, and counts as held until it is old.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
    return writeFile(path, await readFile(candidate), { flag: 'wx' }).then(
      () => true,
      (cause: NodeJS.ErrnoException) => {
        if (cause.code === 'EEXIST') return false;
        throw cause;
      },
    );
  }
}

/**
 * Replaces a lock by the candidate if its holder is dead. Several processes may find the same dead holder: the one that
 * makes the takeover file looks once more and replaces the lock in one rename, the others give way.
 */
async function takeOver(candidate: string, path: string, retried = false): Promise<void> {
  const content = await readFile(path, 'utf8').catch(() => undefined);
  if (content === undefined) {
    if (await linkOnce(candidate, path)) return; // it was given back meanwhile
    throw lockedError(path);
  }
  await refuseIfAlive(candidate, path, content);
  const takeover = `${path}.takeover`;
  if (!(await linkOnce(candidate, takeover))) {
    // Nor does a process hold anything that died in the few milliseconds of its own takeover.
    if (retried || !(await clearDeadTakeover(candidate, takeover))) throw lockedError(path);
    return takeOver(candidate, path, true);
  }
  try {
    if ((await readFile(path, 'utf8').catch(() => undefined)) !== content) throw lockedError(path);
    await rename(candidate, path);
  } finally {
    await rm(takeover, { force: true });
  }
}

/**
 * Removes the takeover file of a dead process. It is moved aside first, so that the file of a process that came in
 * between is noticed and put back.
 *
 * @returns whether the way is free
 */
async function clearDeadTakeover(candidate: string, takeover: string): Promise<boolean> {
  const content = await readFile(takeover, 'utf8').catch(() => undefined);
  if (content === undefined) return true;
  if (!isStale(content, await ageOf(candidate, takeover))) return false;
  const aside = temporaryName(takeover);
  try {
    await rename(takeover, aside);
  } catch {
    return false; // another process clears it at this moment
  }
  const isDead = (await readFile(aside, 'utf8').catch(() => undefined)) === content;
  if (!isDead) await link(aside, takeover).catch(() => undefined);
  await rm(aside, { force: true });
  return isDead;
}

async function refuseIfAlive(candidate: string, path: string, content: string): Promise<void> {
  const ageMs = await ageOf(candidate, path);
  if (!isStale(content, ageMs)) throw lockedError(path, parseHolder(content), ageMs);
}

/** How much older one file is than another, by the clock of the file system that both are on. */
async function ageOf(younger: string, older: string): Promise<number> {
  const mtime = (await stat(older).catch(() => undefined))?.mtimeMs ?? -Infinity;
  return (await stat(younger)).mtimeMs - mtime;
}

function isStale(content: string, ageMs: number): boolean {
  const holder = parseHolder(content);
  const alive = holder === undefined ? undefined : isAlive(holder);
  return !(alive ?? ageMs < silenceMs);
}

function parseHolder(content: string): ProcessIdentity | undefined {
  try {
    const { pid, host, scope, started } = JSON.parse(content) as Partial<ProcessIdentity>;
    if (!Number.isSafeInteger(pid) || typeof scope !== 'string' || typeof started !== 'string')
      return undefined;
    return { pid: pid!, host: String(host), scope, started };
  } catch {
    return undefined;
  }
}

function lockedError(path: string, holder?: ProcessIdentity, ageMs = NaN): DatastoreError {
  const who = holder === undefined ? 'another process' : `process ${holder.pid} on ${holder.host}`;
  const seen = isFinite(ageMs) ? `, last seen ${Math.max(0, Math.round(ageMs / 1000))} s ago` : '';
  return new DatastoreError('DATASTORE_LOCKED', `${who} is writing this datastore (${path}${seen})`, {
    hint: `Wait for it, or stop it. If it is surely gone, remove ${path}.`,
    details: { path, pid: holder?.pid, host: holder?.host },
  });
}
