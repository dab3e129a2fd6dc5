import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { explainLog } from './explain-log.js';
import type { Stage } from './plan.js';
import { remainingTasks } from './remaining.js';
import type { RunFolder } from './run-folder.js';
import { latestByTask, readAccounting, readQueue, type QueuedTask } from './slurm-queue.js';
import { activityOf, endedBySlurm } from './slurm-state.js';
import { jobsOwner, readSubmittedJobs } from './submitted-jobs.js';
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
  /** Tasks that failed, or ended without a word, and that Slurm will not start again. */
  readonly failed: number;
  /** Tasks in the queue that do not run: also those held, suspended, or on their way back into it. */
  readonly waiting: number;
  /** Why tasks wait, or will not go on, in Slurm's words. */
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
  const asked = jobs.map(({ job }) => job);
  // The queue first: a task that has gone from it meanwhile has written its record by then.
  const known = readQueue(asked, jobsOwner(run.folder));
  if (known !== undefined) known.push(...readAccounting(asked));
  const remaining = remainingTasks(run.folder, run.plan);
  const failures: TaskFailure[] = [];
  const stages = run.plan.stages.map((stage) => {
    const stageJobs = jobs.filter((entry) => entry.stage === stage.name).map(({ job }) => job);
    const tasks = new StageTasks(run.folder, stage, remaining.get(stage) ?? [], {
      known: (known ?? []).filter(({ job }) => stageJobs.includes(job)),
      asked: known === undefined ? undefined : new Set(asked),
    });
    failures.push(...tasks.failures());
    return tasks.status();
  });
  const finished = stages.every(({ tasks, done }) => tasks === done);
  return { stages, failures, hasQueue: known !== undefined, finished };
}

/** What Slurm said: of one stage's jobs, and which jobs it was asked about. */
interface SlurmAnswer {
  readonly known: readonly QueuedTask[];
  readonly asked: ReadonlySet<string> | undefined;
}

/** The tasks of one stage. */
class StageTasks {
  readonly #run: RunFolder;
  readonly #stage: Stage;
  readonly #known: ReadonlyMap<number, QueuedTask>;
  readonly #records: Map<number, TaskRecord>;
  readonly #views: readonly TaskView[];
  readonly #nowMs = Date.now();
  #logs: string[] | undefined;

  constructor(run: RunFolder, stage: Stage, remaining: readonly number[], answer: SlurmAnswer) {
    this.#run = run;
    this.#stage = stage;
    this.#known = latestByTask(answer.known);
    this.#records = readStageRecords(run, stage);
    const open = new Set(remaining);
    this.#views = Array.from({ length: stage.tasks }, (_, shard): TaskView => {
      if (!open.has(shard)) return 'done';
      const record = this.#records.get(shard);
      const hasLog = record === undefined && this.#newestLog(shard) !== undefined;
      // What a finished task made is gone: it is to be made again.
      const current = record?.state === 'done' ? undefined : record;
      const { asked } = answer;
      return viewTask(current, this.#known.get(shard), { asked, hasLog, nowMs: this.#nowMs });
    });
  }

  status(): StageStatus {
    const number = (state: TaskView) => this.#views.filter((view) => view === state).length;
    const finished = this.#shards('done').map((shard) => this.#records.get(shard)?.seconds ?? 0);
    return {
      stage: this.#stage.name,
      tasks: this.#stage.tasks,
      done: number('done'),
      running: number('running'),
      failed: number('failed'),
      waiting: number('waiting'),
      reason: this.#reasons(),
      seconds: finished.reduce((sum, seconds) => sum + seconds, 0),
      secondsLeft: secondsLeft({
        finished,
        running: this.#shards('running').map((shard) => this.#pace(shard)),
        waiting: number('waiting') + number('open'),
      }),
    };
  }

  /** Of all tasks that neither run nor are finished. */
  #reasons(): string | undefined {
    const reasons = this.#views.flatMap((view, shard) => {
      const known = this.#known.get(shard);
      return known === undefined ? [] : reasonOf(view, known);
    });
    return reasons.length === 0 ? undefined : [...new Set(reasons)].join(', ');
  }

  #shards(state: TaskView): number[] {
    return this.#views.flatMap((view, shard) => (view === state ? [shard] : []));
  }

  #pace(shard: number): { seconds: number; line: string | undefined } {
    const record = this.#records.get(shard);
    const startedMs = record?.state === 'running' ? record.startedMs : this.#nowMs;
    return { seconds: (this.#nowMs - startedMs) / 1000, line: record?.message };
  }

  failures(): TaskFailure[] {
    return this.#shards('failed').map((shard) => {
      const record = this.#records.get(shard);
      const known = this.#known.get(shard);
      const log = record?.log ?? this.#newestLog(shard);
      const inLog = log === undefined ? undefined : explainLog(log);
      const said = record?.state === 'failed' ? record.message : undefined;
      const reason = withState(said ?? inLog, known);
      return { stage: this.#stage.name, shard, job: record?.job ?? nameOf(shard, known), reason, log };
    });
  }

  /** Of a task that could not write a record. */
  #newestLog(shard: number): string | undefined {
    const ending = this.#stage.tasks > 1 ? `_${shard}.log` : '.log';
    this.#logs ??= logsOf(this.#run, this.#stage);
    return this.#logs.find((path) => path.endsWith(ending));
  }
}

/** What stands beside a stage, of one of its tasks. */
function reasonOf(view: TaskView, { state, reason }: QueuedTask): string[] {
  if (state === 'PENDING') return view === 'waiting' || view === 'open' ? [reason] : [];
  const isOdd = activityOf(state) === 'ending' || view === 'waiting';
  return (isOdd && view !== 'failed') || (view === 'open' && state === 'CANCELLED') ? [state] : [];
}

/** The line that explains a failure, with what Slurm did to the job. */
function withState(line: string | undefined, known: QueuedTask | undefined): string {
  const state = known === undefined || activityOf(known.state) !== 'ended' ? undefined : known.state;
  if (line !== undefined) {
    return state !== undefined && endedBySlurm(state) ? `${line} (Slurm: ${state})` : line;
  }
  if (state === undefined || known === undefined)
    return 'it ended without a word: killed, or its node was lost';
  const reason = known.reason === '' || known.reason === 'None' ? '' : `, ${known.reason}`;
  return `it ended without a word; Slurm: ${state}${reason}`;
}

function nameOf(shard: number, known: QueuedTask | undefined): string | undefined {
  if (known === undefined) return undefined;
  return known.tasks.length === 0 ? known.job : `${known.job}_${shard}`;
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
