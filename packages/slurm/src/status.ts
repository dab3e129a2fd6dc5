import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { explainLog } from './explain-log.js';
import type { Stage } from './plan.js';
import { remainingTasks } from './remaining.js';
import type { RunFolder } from './run-folder.js';
import { readAccounting, readQueue, type EndedTask, type QueuedTask } from './slurm-queue.js';
import { readSubmittedJobs } from './submitted-jobs.js';
import { readStageRecords, type TaskRecord } from './task-record.js';
import { viewTask, type TaskView } from './task-view.js';
import { secondsLeft } from './time-left.js';
import type { Run } from './write-run.js';

/** How far a stage is. */
export interface StageStatus {
  /** Its name. */
  readonly stage: string;
  /** Tasks in all. */
  readonly tasks: number;
  /** Tasks that are finished. */
  readonly done: number;
  /** Tasks that run. */
  readonly running: number;
  /** Tasks that failed, or ended without a word, and are not in the queue. */
  readonly failed: number;
  /** Tasks in the queue. */
  readonly waiting: number;
  /** Why they wait, in Slurm's words. */
  readonly reason: string | undefined;
  /** Seconds of work in finished tasks. */
  readonly seconds: number;
  /** Estimated seconds until the stage is finished. */
  readonly secondsLeft: number | undefined;
}

/** Why a task failed. */
export interface TaskFailure {
  /** Its stage. */
  readonly stage: string;
  /** Its number. */
  readonly shard: number;
  /** Slurm's name of it. */
  readonly job: string | undefined;
  /** The line that explains it, as far as one is found. */
  readonly reason: string;
  /** Its log. */
  readonly log: string | undefined;
}

/** How far a run is. */
export interface RunStatus {
  /** Its stages. */
  readonly stages: readonly StageStatus[];
  /** Its failures. */
  readonly failures: readonly TaskFailure[];
  /** Whether Slurm's queue could be read. */
  readonly hasQueue: boolean;
  /** Whether all is done. */
  readonly finished: boolean;
}

/**
 * Reads how far a run is, from the records of its tasks and from Slurm's queue where there is one.
 *
 * @param run - the run
 */
export function readStatus(run: Run): RunStatus {
  const jobs = readSubmittedJobs(run.folder);
  const numbers = jobs.map(({ job }) => job);
  const queue = readQueue(numbers);
  const remaining = remainingTasks(run.folder, run.plan);
  const ended = new Map<string, EndedTask>();
  if (queue !== undefined) for (const task of readAccounting(numbers)) ended.set(task.id, task);
  const failures: TaskFailure[] = [];
  const stages = run.plan.stages.map((stage) => {
    const stageJobs = jobs.filter((entry) => entry.stage === stage.name).map(({ job }) => job);
    const queued = (queue ?? []).filter(({ job }) => stageJobs.includes(job));
    const tasks = new StageTasks(run.folder, stage, remaining.get(stage) ?? [], queued, queue !== undefined);
    failures.push(...tasks.failures(ended));
    return tasks.status();
  });
  const finished = stages.every(({ tasks, done }) => tasks === done);
  return { stages, failures, hasQueue: queue !== undefined, finished };
}

/** The tasks of one stage. */
class StageTasks {
  readonly #run: RunFolder;
  readonly #stage: Stage;
  readonly #queued: readonly QueuedTask[];
  readonly #records: Map<number, TaskRecord>;
  readonly #views: readonly TaskView[];
  readonly #nowMs = Date.now();
  #logs: string[] | undefined;

  constructor(
    run: RunFolder,
    stage: Stage,
    remaining: readonly number[],
    queued: readonly QueuedTask[],
    hasQueue: boolean,
  ) {
    this.#run = run;
    this.#stage = stage;
    this.#queued = queued;
    this.#records = readStageRecords(run, stage);
    const open = new Set(remaining);
    this.#views = Array.from({ length: stage.tasks }, (_, shard): TaskView => {
      const record = this.#records.get(shard);
      if (!open.has(shard)) return { state: 'done' };
      const inQueue = queued.find(({ tasks }) => (tasks.length === 0 ? shard === 0 : tasks.includes(shard)));
      // What a finished task made is gone: it is to be made again.
      const current = record?.state === 'done' ? undefined : record;
      const hasLog = record === undefined && this.#newestLog(shard) !== undefined;
      return viewTask(current, inQueue, { hasQueue, hasLog, nowMs: this.#nowMs });
    });
  }

  status(): StageStatus {
    const number = (state: TaskView['state']) => this.#views.filter((view) => view.state === state).length;
    const finished = this.#shards('done').map((shard) => this.#records.get(shard)?.seconds ?? 0);
    const reasons = this.#queued.filter(({ state }) => state === 'PENDING').map(({ reason }) => reason);
    return {
      stage: this.#stage.name,
      tasks: this.#stage.tasks,
      done: number('done'),
      running: number('running'),
      failed: number('failed'),
      waiting: number('waiting'),
      reason: reasons.length === 0 ? undefined : [...new Set(reasons)].join(', '),
      seconds: finished.reduce((sum, seconds) => sum + seconds, 0),
      secondsLeft: secondsLeft({
        finished,
        running: this.#shards('running').map((shard) => this.#pace(shard)),
        waiting: number('waiting') + number('open'),
      }),
    };
  }

  #shards(state: TaskView['state']): number[] {
    return this.#views.flatMap((view, shard) => (view.state === state ? [shard] : []));
  }

  #pace(shard: number): { seconds: number; line: string | undefined } {
    const record = this.#records.get(shard);
    const startedMs = record?.state === 'running' ? record.startedMs : this.#nowMs;
    return { seconds: (this.#nowMs - startedMs) / 1000, line: record?.message };
  }

  failures(ended: ReadonlyMap<string, EndedTask>): TaskFailure[] {
    return this.#shards('failed').map((shard) => {
      const record = this.#records.get(shard);
      const log = record?.log ?? this.#newestLog(shard);
      const inBooks = record?.job === undefined ? undefined : ended.get(record.job)?.state;
      const inLog = log === undefined ? undefined : explainLog(log);
      const said = record?.state === 'failed' ? record.message : undefined;
      const reason = said ?? inLog ?? inBooks ?? 'it ended without a word: killed, or its node was lost';
      return { stage: this.#stage.name, shard, job: record?.job, reason, log };
    });
  }

  /** Of a task that could not write a record. */
  #newestLog(shard: number): string | undefined {
    const ending = this.#stage.tasks > 1 ? `_${shard}.log` : '.log';
    this.#logs ??= logsOf(this.#run, this.#stage);
    return this.#logs.find((path) => path.endsWith(ending));
  }
}

/** The logs of a stage, the newest first. */
function logsOf(run: RunFolder, stage: Stage): string[] {
  if (!existsSync(run.logs)) return [];
  return readdirSync(run.logs)
    .filter((name) => name.startsWith(`${stage.name}-`))
    .map((name) => join(run.logs, name))
    .map((path) => ({ path, changedMs: statSync(path).mtimeMs }))
    .toSorted((a, b) => b.changedMs - a.changedMs)
    .map(({ path }) => path);
}
