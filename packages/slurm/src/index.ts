/**
 * The kNN-LM recipe as Slurm jobs: a plan of stages, readable batch scripts, tasks that resume, a status, and a runner
 * for machines without Slurm.
 *
 * @packageDocumentation
 */
export { SlurmError } from './errors.js';
export { stageNames, type StageName } from './stage-names.js';
export {
  checkRecipe,
  readRecipe,
  withSettings,
  type Recipe,
  type StageSettings,
  type Texts,
} from './recipe.js';
export { readJsonFile } from './settings-file.js';
export { checkSite, readSite, resourcesOf, type Resources, type Site } from './site.js';
export { planRun, type Plan, type Stage } from './plan.js';
export {
  shardId,
  type CommandWord,
  type ShardPart,
  type ShardQuotient,
  type ShardRemainder,
  type WorkPath,
} from './word.js';
export { sbatchScript, type ScriptPlace } from './sbatch-script.js';
export { RunFolder } from './run-folder.js';
export { openRun, writeRun, type Run } from './write-run.js';
export { findStage } from './stored-run.js';
export { runTask, type RunTaskOptions, type StopReason, type TaskOutcome } from './run-task.js';
export { type TaskRecord, type TaskState } from './task-record.js';
export { runLocally, type RunLocallyOptions } from './run-local.js';
export { isInQueue, prepareSubmission, submitRun } from './submit.js';
export { type StageSubmission, type Submission } from './submission.js';
export { type SubmittedJob } from './submitted-jobs.js';
export { readStatus, type RunStatus, type StageStatus, type TaskFailure } from './status.js';
