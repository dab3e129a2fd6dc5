import { spawn, type ChildProcess } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { CancelledError, type Progress, type TaskOptions } from '@knn-lm/common';
import { SlurmError } from './errors.js';
import { explainLog } from './explain-log.js';
import type { Stage } from './plan.js';
import { remainingTasks } from './remaining.js';
import { readTaskRecord } from './task-record.js';
import type { Run } from './write-run.js';

/** Settings of {@link runLocally}. */
export interface RunLocallyOptions extends TaskOptions {
  /** Tasks that run at a time. */
  readonly jobs: number;
}

/**
 * Runs the scripts of a run on this machine, as Slurm would: stages in order, several tasks at a time. A task that fails
 * ends the run once the tasks beside it have ended; called again, it goes on.
 *
 * @param run - the run
 * @param options - tasks at a time, signal, progress, logger
 * @throws {@link SlurmError} `SLURM_STAGE_FAILED`; `CancelledError` after the signal, the tasks having stopped cleanly
 */
export async function runLocally(run: Run, options: RunLocallyOptions): Promise<void> {
  await new LocalRun(run, options).run();
}

class LocalRun {
  readonly #run: Run;
  readonly #options: RunLocallyOptions;
  readonly #remaining: Map<Stage, number[]>;
  readonly #running = new Map<Promise<void>, { stage: Stage; child: ChildProcess }>();
  readonly #total: number;
  #done = 0;
  #failure: SlurmError | undefined;

  constructor(run: Run, options: RunLocallyOptions) {
    this.#run = run;
    this.#options = options;
    this.#remaining = remainingTasks(run.folder, run.plan);
    this.#total = [...this.#remaining.values()].reduce((sum, tasks) => sum + tasks.length, 0);
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    const stop = () => {
      for (const { child } of this.#running.values()) child.kill('SIGTERM');
    };
    signal?.addEventListener('abort', stop);
    try {
      for (;;) {
        this.#startReady();
        if (this.#running.size === 0) break;
        await Promise.race(this.#running.keys());
      }
    } finally {
      signal?.removeEventListener('abort', stop);
    }
    if (signal?.aborted === true) {
      throw new CancelledError(`stopped: ${this.#done} of ${this.#total} tasks are finished`, {
        hint: 'The same command goes on from there.',
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #startReady(): void {
    for (const [stage, tasks] of this.#remaining) {
      if (!this.#isReady(stage)) continue;
      while (tasks.length > 0 && this.#running.size < this.#options.jobs && !this.#isEnding()) {
        this.#start(stage, tasks.shift() as number);
      }
    }
  }

  #isEnding(): boolean {
    return this.#failure !== undefined || this.#options.signal?.aborted === true;
  }

  #isReady(stage: Stage): boolean {
    const isOpen = ({ name }: Stage) => stage.needs.includes(name);
    for (const [other, tasks] of this.#remaining) if (isOpen(other) && tasks.length > 0) return false;
    return ![...this.#running.values()].some((running) => isOpen(running.stage));
  }

  #start(stage: Stage, shard: number): void {
    const { folder } = this.#run;
    const log = folder.localLog(stage.name, shard);
    const output = openSync(log, 'a');
    this.#options.logger?.info(`${stage.name} ${shard + 1} of ${stage.tasks} starts (${log})`);
    const child = spawn('bash', [folder.script(stage.name)], {
      stdio: ['ignore', output, output],
      env: localEnvironment(stage, shard, log),
      // A Ctrl-C on the terminal is for this process, which passes it on once.
      detached: true,
    });
    closeSync(output);
    const ended: Promise<void> = new Promise<number>((resolve) => {
      child.on('error', () => resolve(127));
      child.on('close', (code) => resolve(code ?? 1));
    }).then((code) => this.#end(stage, shard, code, ended));
    this.#running.set(ended, { stage, child });
  }

  #end(stage: Stage, shard: number, code: number, promise: Promise<void>): void {
    this.#running.delete(promise);
    if (code === 0) {
      this.#done++;
      this.#options.onProgress?.(this.#progress());
      return;
    }
    if (this.#options.signal?.aborted === true) return;
    const { folder } = this.#run;
    const log = folder.localLog(stage.name, shard);
    const record = readTaskRecord(folder.record(stage.name, shard));
    const message = record?.state === 'failed' ? record.message : undefined;
    const reason = message ?? explainLog(log) ?? `status ${code}`;
    this.#failure ??= new SlurmError('SLURM_STAGE_FAILED', `${stage.name}, task ${shard}: ${reason}`, {
      hint: `Its log is ${log}. The same command goes on once that is mended.`,
      details: { stage: stage.name, shard, log },
    });
  }

  #progress(): Progress {
    return { stage: 'run', done: this.#done, total: this.#total, unit: 'tasks' };
  }
}

/** Without Slurm's variables: the run may be inside an allocation, whose own task this is not. */
function localEnvironment(stage: Stage, shard: number, log: string): NodeJS.ProcessEnv {
  const others = Object.entries(process.env).filter(([name]) => !/^SLURM_(JOB|ARRAY|RESTART)/.test(name));
  return {
    ...Object.fromEntries(others),
    KNN_LM_SHARD: String(shard),
    KNN_LM_SHARDS: String(stage.tasks),
    KNN_LM_LOG: log,
  };
}
