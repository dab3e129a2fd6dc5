import { spawn, type ChildProcess } from 'node:child_process';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger, type Logger } from '@knn-lm/common';
import { OutputWatch } from './output-watch.js';
import type { Plan, Stage } from './plan.js';
import type { RunFolder } from './run-folder.js';
import { logPattern } from './sbatch-script.js';
import { requeue, slurmJob } from './slurm-job.js';
import { isDone, readTaskRecord, writeTaskRecord, type TaskRecord, type TaskState } from './task-record.js';

/** How a task's process is told to stop. */
export type StopReason = 'time' | 'stop';

/** Settings of {@link runTask}. */
export interface RunTaskOptions {
  /** Program and arguments. */
  readonly command: readonly string[];
  /** How often a process that was killed is started again. */
  readonly retries: number;
  /** Registers what to do when the task is told to stop: `time` when its time runs out, `stop` otherwise. */
  readonly onStop: (stop: (reason: StopReason) => void) => void;
  /** Takes what the command writes on standard error. */
  readonly onErrorOutput: (chunk: string) => void;
  /** Hears what happens. */
  readonly logger?: Logger | undefined;
  /** Environment: Slurm's variables. @defaultValue that of the process */
  readonly env?: NodeJS.ProcessEnv | undefined;
}

/** How a task ended; `skipped` was finished before. */
export type TaskOutcome = 'skipped' | 'done' | 'failed' | 'requeued' | 'stopped';

/** A lock left by a node that died is taken over when it has been silent for five minutes. */
const lockWaitMs = 20_000;
const lockWaits = 18;
const recordEveryMs = 10_000;

/**
 * Runs one task of a stage: skips it when it is finished, keeps a record of it, starts its command again when it was
 * killed, waits for a writer that a lost node left behind, and queues the Slurm task again when its time runs out.
 *
 * @param run - the run's folder
 * @param plan - the run's plan
 * @param stage - the stage
 * @param shard - number of the task
 * @param options - command and surroundings
 */
export async function runTask(
  run: RunFolder,
  plan: Plan,
  stage: Stage,
  shard: number,
  options: RunTaskOptions,
): Promise<TaskOutcome> {
  const { logger = silentLogger } = options;
  const before = readTaskRecord(run.record(stage.name, shard));
  if (isDone(plan, stage, shard, before)) {
    logger.info(`${stage.name} ${shard} is finished already`);
    return 'skipped';
  }
  return new TaskRun(run, stage, shard, options, before).run();
}

/** How a command ended. */
interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

class TaskRun {
  readonly #run: RunFolder;
  readonly #stage: Stage;
  readonly #shard: number;
  readonly #options: RunTaskOptions;
  readonly #logger: Logger;
  readonly #env: NodeJS.ProcessEnv;
  readonly #before: TaskRecord | undefined;
  readonly #startedMs = Date.now();
  #attempts: number;
  #watch = new OutputWatch();
  #child: ChildProcess | undefined;
  #stopped: StopReason | undefined;
  readonly #waiting = new AbortController();
  #writing = Promise.resolve();

  constructor(
    run: RunFolder,
    stage: Stage,
    shard: number,
    options: RunTaskOptions,
    before: TaskRecord | undefined,
  ) {
    this.#run = run;
    this.#stage = stage;
    this.#shard = shard;
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
    this.#env = options.env ?? process.env;
    this.#before = before?.fingerprint === stage.fingerprint ? before : undefined;
    this.#attempts = this.#before?.attempts ?? 0;
  }

  async run(): Promise<TaskOutcome> {
    this.#options.onStop((reason) => this.#stop(reason));
    let killed = 0;
    let waited = 0;
    for (;;) {
      const exit = await this.#attempt();
      if (exit.code === 0) return this.#end('done', exit, 'done');
      if (this.#stopped !== undefined) return this.#endStopped(exit);
      if (this.#watch.code === 'DATASTORE_LOCKED' && waited < lockWaits) {
        waited++;
        this.#logger.info(
          `another process is writing; trying again in ${lockWaitMs / 1000} s (${waited} of ${lockWaits})`,
        );
        await sleep(lockWaitMs, undefined, { signal: this.#waiting.signal }).catch(() => undefined);
        if (this.#stopped !== undefined) return this.#endStopped(exit);
      } else if (wasKilled(exit) && killed < this.#options.retries) {
        killed++;
        this.#logger.warn(`${describeExit(exit)}; starting again (${killed} of ${this.#options.retries})`);
      } else return this.#end('failed', exit, 'failed');
    }
  }

  /** Runs the command once. */
  async #attempt(): Promise<Exit> {
    this.#attempts++;
    this.#watch = new OutputWatch();
    await this.#write('running');
    const [program, ...args] = this.#options.command;
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'pipe'], env: this.#env });
    this.#child = child;
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (chunk: string) => {
      this.#watch.add(chunk);
      this.#options.onErrorOutput(chunk);
    });
    const timer = setInterval(() => void this.#write('running').catch(() => undefined), recordEveryMs);
    try {
      return await new Promise<Exit>((resolve) => {
        child.on('close', (code, signal) => resolve({ code, signal }));
        child.on('error', (error) => {
          this.#watch.add(`error: ${error.message}\n`);
          resolve({ code: 127, signal: null });
        });
      });
    } finally {
      clearInterval(timer);
      this.#child = undefined;
    }
  }

  #stop(reason: StopReason): void {
    // What comes first counts: Slurm also sends TERM to a task that is queued again.
    this.#stopped ??= reason;
    this.#waiting.abort();
    this.#child?.kill('SIGTERM');
  }

  async #endStopped(exit: Exit): Promise<TaskOutcome> {
    const job = slurmJob(this.#env);
    if (this.#stopped === 'stop' || job === undefined) return this.#end('requeued', exit, 'stopped');
    await this.#end('requeued', exit, 'requeued');
    this.#logger.info(`the time is nearly over: queueing ${job.id} again`);
    const complaint = await requeue(job.id, this.#env);
    if (complaint === undefined) return 'requeued';
    this.#logger.warn(complaint);
    this.#watch.add(`error: ${complaint}\n`);
    return this.#end('failed', exit, 'failed');
  }

  async #end(state: TaskState, exit: Exit, outcome: TaskOutcome): Promise<TaskOutcome> {
    await this.#write(state, exit);
    return outcome;
  }

  /** One after the other: a record of the running task must not come after the last one on a slow disk. */
  #write(state: TaskState, exit?: Exit): Promise<void> {
    const written = this.#writing.then(() => this.#writeNow(state, exit));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #writeNow(state: TaskState, exit?: Exit): Promise<void> {
    const nowMs = Date.now();
    const { name, fingerprint } = this.#stage;
    const message = state === 'failed' ? this.#failure(exit) : this.#watch.progress;
    await writeTaskRecord(this.#run.record(name, this.#shard), {
      state,
      fingerprint,
      attempts: this.#attempts,
      host: hostname(),
      pid: process.pid,
      job: slurmJob(this.#env)?.id,
      log: this.#log(),
      startedMs: this.#startedMs,
      updatedMs: nowMs,
      seconds: (this.#before?.seconds ?? 0) + (nowMs - this.#startedMs) / 1000,
      exit: exit?.signal ?? exit?.code ?? undefined,
      message,
    });
  }

  #failure(exit: Exit | undefined): string | undefined {
    return this.#watch.error ?? (exit === undefined ? undefined : describeExit(exit));
  }

  /** Where the output goes: Slurm's log, or what the local runner says. */
  #log(): string | undefined {
    const job = slurmJob(this.#env);
    if (job === undefined) return this.#env['KNN_LM_LOG'];
    const [number, task = ''] = job.id.split('_');
    const name = logPattern(this.#stage).replace('%A', number).replace('%a', task).replace('%j', number);
    return `${this.#run.logs}/${name}`;
  }
}

/** By a signal, also where a shell in between reports it as 128 and its number. */
function wasKilled({ code, signal }: Exit): boolean {
  return signal !== null || (code !== null && code > 128 && code !== 130);
}

function describeExit({ code, signal }: Exit): string {
  return signal === null
    ? `the command ended with status ${String(code)}`
    : `the command was killed by ${signal}`;
}
