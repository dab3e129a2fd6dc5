import type { Plan, Stage } from './plan.js';
import type { RunFolder } from './run-folder.js';
import { isDone, readStageRecords } from './task-record.js';

/**
 * The tasks of each stage that are not finished, ascending. What a task made may be gone when the stages that read it
 * are finished: shards of a datastore that was merged by copying.
 *
 * @param run - the run's folder
 * @param plan - the run's plan
 */
export function remainingTasks(run: RunFolder, plan: Plan): Map<Stage, number[]> {
  const remaining = new Map<Stage, number[]>();
  for (const stage of plan.stages.toReversed()) {
    const readers = plan.stages.filter(({ needs }) => needs.includes(stage.name));
    const isRead = readers.length > 0 && readers.every((reader) => remaining.get(reader)?.length === 0);
    const wanted = isRead ? { ...stage, outputs: [] } : stage;
    const records = readStageRecords(run, stage);
    const tasks = Array.from({ length: stage.tasks }, (_, shard) => shard);
    remaining.set(
      stage,
      tasks.filter((shard) => !isDone(plan, wanted, shard, records.get(shard))),
    );
  }
  return new Map(plan.stages.map((stage) => [stage, remaining.get(stage) ?? []]));
}

/** Numbers as `--array` takes them: `0-3,7`. */
export function arrayRanges(shards: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const shard of shards) {
    const range = ranges[ranges.length - 1];
    if (range !== undefined && range[1] === shard - 1) range[1] = shard;
    else ranges.push([shard, shard]);
  }
  return ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(',');
}
