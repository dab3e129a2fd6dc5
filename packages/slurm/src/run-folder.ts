import { join } from 'node:path';
import type { StageName } from './stage-names.js';

/** Where the files of a run are. */
export class RunFolder {
  /** The run's folder, absolute. */
  readonly path: string;

  /**
   * Names the files of a run; makes nothing.
   *
   * @param path - absolute
   */
  constructor(path: string) {
    this.path = path;
  }

  /** What the run was planned from, for the commands that come later. */
  get plan(): string {
    return join(this.path, 'plan.json');
  }

  /** Submits what is left. */
  get submitScript(): string {
    return join(this.path, 'submit.sh');
  }

  /** One line for each submitted job: stage, tab, number. */
  get jobs(): string {
    return join(this.path, 'jobs.tsv');
  }

  /** Logs of all tasks. */
  get logs(): string {
    return join(this.path, 'logs');
  }

  /** The script of a stage. */
  script(stage: StageName): string {
    return join(this.path, `${stage}.sbatch`);
  }

  /** What is known of the tasks of a stage. */
  records(stage: StageName): string {
    return join(this.path, 'state', stage);
  }

  /** What is known of one task. */
  record(stage: StageName, shard: number): string {
    return join(this.records(stage), `${shard}.json`);
  }

  /** The log of a task outside Slurm. */
  localLog(stage: StageName, shard: number): string {
    return join(this.logs, `${stage}-local_${shard}.log`);
  }
}
