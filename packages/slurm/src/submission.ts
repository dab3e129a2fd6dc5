import { stagesBefore, type Plan, type Stage } from './plan.js';
import { arrayRanges } from './remaining.js';
import type { QueuedTask } from './slurm-queue.js';
import { activityOf, neverStarts } from './slurm-state.js';
import type { SubmittedJob } from './submitted-jobs.js';

/** What is to be submitted of one stage. */
export interface StageSubmission {
  /** The stage. */
  readonly stage: Stage;
  /** Its tasks that are neither finished nor in the queue. */
  readonly tasks: readonly number[];
  /** Jobs, or tasks of arrays (`123_4`), in the queue that it must wait for. */
  readonly waitForJobs: readonly string[];
  /** Stages of this submission that it must wait for. */
  readonly waitForStages: readonly Stage[];
}

/** What is to be done so that a run goes on. */
export interface Submission {
  /** Jobs that wait for others that will not succeed, or are submitted again: to be cancelled first. */
  readonly cancel: readonly string[];
  /** What to submit, in order. */
  readonly stages: readonly StageSubmission[];
}

/**
 * Plans how a run goes on: what is neither finished nor in the queue is submitted. A stage that waits in the queue is
 * submitted anew when one before it is, because it waits for the wrong jobs.
 *
 * @param plan - the run's plan
 * @param remaining - tasks of each stage that are not finished
 * @param jobs - jobs that were submitted before
 * @param queue - what Slurm knows of them; what is about to end counts as ended
 */
export function planSubmission(
  plan: Plan,
  remaining: ReadonlyMap<Stage, readonly number[]>,
  jobs: readonly SubmittedJob[],
  queue: readonly QueuedTask[],
): Submission {
  const cancel = new Set<string>();
  const submitted: StageSubmission[] = [];
  const kept = new Map<Stage, string[]>();
  for (const stage of plan.stages) {
    const before = stagesBefore(plan.stages, stage);
    const waitForStages = submitted.map((entry) => entry.stage).filter((other) => before.includes(other));
    const queued = queue.filter(({ job }) =>
      jobs.some((entry) => entry.stage === stage.name && entry.job === job),
    );
    const active = queued.filter((task) => isWorthKeeping(task, waitForStages.length > 0));
    for (const task of queued) {
      if (task.state === 'PENDING' && !active.includes(task)) cancel.add(scancelName(task));
    }
    const covered = new Set(active.flatMap(({ tasks }) => (tasks.length === 0 ? [0] : tasks)));
    const tasks = (remaining.get(stage) ?? []).filter((shard) => !covered.has(shard));
    const isFirst = jobs.filter((entry) => entry.stage === stage.name).length === 1 && tasks.length === 0;
    kept.set(stage, isFirst ? [...new Set(active.map(({ job }) => job))] : active.flatMap(taskNames));
    if (tasks.length === 0) continue;
    const isWaitedFor = (other: Stage) => waitForStages.includes(other) || kept.get(other)?.length !== 0;
    const last = lastOf(plan, before.filter(isWaitedFor));
    submitted.push({
      stage,
      tasks,
      waitForJobs: last.flatMap((other) => kept.get(other) ?? []),
      waitForStages: last.filter((other) => waitForStages.includes(other)),
    });
  }
  return { cancel: [...cancel], stages: submitted };
}

/** Without the stages that another one of them waits for. */
function lastOf(plan: Plan, stages: readonly Stage[]): Stage[] {
  const covered = new Set(stages.flatMap((stage) => stagesBefore(plan.stages, stage)));
  return stages.filter((stage) => !covered.has(stage));
}

/** One by one: to wait for a whole array some of whose tasks have failed is to wait for ever. */
function taskNames({ job, tasks }: QueuedTask): string[] {
  return tasks.length === 0 ? [job] : tasks.map((task) => `${job}_${task}`);
}

/** What scancel takes: only the tasks that wait, should others of their array be running. */
function scancelName({ job, tasks }: QueuedTask): string {
  return tasks.length === 0 ? job : `${job}_[${arrayRanges(tasks)}]`;
}

/** A task that runs is left alone; one that waits for a job that failed, or that is submitted again, never starts. */
function isWorthKeeping(task: QueuedTask, waitsForOthers: boolean): boolean {
  const activity = activityOf(task.state);
  if (activity !== 'waiting') return activity === 'running';
  return !neverStarts(task) && !(waitsForOthers && task.state === 'PENDING' && task.reason === 'Dependency');
}
