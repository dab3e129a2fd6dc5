import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { ensureFolder, writeFileAtomic } from '@knn-lm/common';
import type { Plan, Stage } from './plan.js';
import type { RunFolder } from './run-folder.js';
import { expandPath } from './word.js';

/** How far a task is. A `requeued` one was stopped in order to be queued again. */
export type TaskState = 'running' | 'done' | 'failed' | 'requeued';

/** What a task writes about itself, as `state/STAGE/SHARD.json`. */
export interface TaskRecord {
  /** How far it is. */
  readonly state: TaskState;
  /** Fingerprint of the stage that it belongs to. */
  readonly fingerprint: string;
  /** Times that it was started, this one included. */
  readonly attempts: number;
  /** Machine that it runs or ran on. */
  readonly host: string;
  /** Process that wrote this. */
  readonly pid: number;
  /** Slurm's name of the task, `123_4`. */
  readonly job?: string | undefined;
  /** File that has its output, as far as it is known. */
  readonly log?: string | undefined;
  /** Start of this attempt, milliseconds since 1970. */
  readonly startedMs: number;
  /** When this was written, milliseconds since 1970. */
  readonly updatedMs: number;
  /** Seconds of all attempts that ended so far. */
  readonly seconds: number;
  /** Exit status or signal of the command. */
  readonly exit?: number | string | undefined;
  /** Last line of progress while it runs; the error when it failed. */
  readonly message?: string | undefined;
}

const states: readonly TaskState[] = ['running', 'done', 'failed', 'requeued'];

/**
 * Reads what is known of a task.
 *
 * @param path - `state/STAGE/SHARD.json`
 * @returns `undefined` where there is nothing that can be understood
 */
export function readTaskRecord(path: string): TaskRecord | undefined {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<TaskRecord>;
    const isWhole = states.includes(value.state as TaskState) && typeof value.fingerprint === 'string';
    return isWhole ? (value as TaskRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** Writes what is known of a task, whole or not at all. */
export async function writeTaskRecord(path: string, record: TaskRecord): Promise<void> {
  await ensureFolder(dirname(path));
  await writeFileAtomic(path, `${JSON.stringify(record)}\n`);
}

/** Reads the records of a stage, by the number of the task. */
export function readStageRecords(run: RunFolder, stage: Stage): Map<number, TaskRecord> {
  const records = new Map<number, TaskRecord>();
  const folder = run.records(stage.name);
  if (!existsSync(folder)) return records;
  for (const name of readdirSync(folder)) {
    const shard = /^(\d+)\.json$/.exec(name)?.[1];
    if (shard === undefined || Number(shard) >= stage.tasks) continue;
    const record = readTaskRecord(run.record(stage.name, Number(shard)));
    if (record?.fingerprint === stage.fingerprint) records.set(Number(shard), record);
  }
  return records;
}

/** Whether a task is finished, and what it made is still there. */
export function isDone(plan: Plan, stage: Stage, shard: number, record: TaskRecord | undefined): boolean {
  return (
    record?.state === 'done' &&
    record.fingerprint === stage.fingerprint &&
    stage.outputs.every((output) =>
      expandPath(output, { work: plan.work, shard }).every((path) => existsSync(path)),
    )
  );
}
