/** Places in the shared flags of a session. */
const running = 0;
const stopped = 1;

/** Shared between a session's worker and the thread that started it. */
export type RunFlags = Int32Array<SharedArrayBuffer>;

const guarded = new Set<RunFlags>();

/** No run takes so long, unless its thread has died. */
const patienceMs = 60_000;

/** Flags for a new session, which is busy until its worker has opened it: see {@link markIdle}. */
export function createRunFlags(): RunFlags {
  const flags = new Int32Array(new SharedArrayBuffer(8));
  flags[running] = 1;
  return flags;
}

/**
 * Makes `process.exit()` wait for the call in progress: a worker that ends within a call of ONNX Runtime takes the whole
 * process down with `Napi::Error` and status 134.
 *
 * @param flags - flags of the session
 * @returns stops guarding, when the session is closed
 */
export function guardAtExit(flags: RunFlags): () => void {
  if (guarded.size === 0) process.on('exit', waitForRuns);
  guarded.add(flags);
  return () => {
    guarded.delete(flags);
    if (guarded.size === 0) process.off('exit', waitForRuns);
  };
}

function waitForRuns(): void {
  for (const flags of guarded) Atomics.store(flags, stopped, 1);
  for (const flags of guarded) Atomics.wait(flags, running, 1, patienceMs);
}

/**
 * In the worker: runs a function unless the process is about to exit.
 *
 * @returns its result, or `undefined` when it was not run
 */
export async function runGuarded<T>(flags: RunFlags, run: () => Promise<T>): Promise<T | undefined> {
  // First this flag, then the other one's: whoever comes second sees what the first has stored.
  Atomics.store(flags, running, 1);
  try {
    return Atomics.load(flags, stopped) === 1 ? undefined : await run();
  } finally {
    markIdle(flags);
  }
}

/** In the worker: no call of ONNX Runtime is in progress. */
export function markIdle(flags: RunFlags): void {
  Atomics.store(flags, running, 0);
  Atomics.notify(flags, running);
}
