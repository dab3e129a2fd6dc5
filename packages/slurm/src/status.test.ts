import { chmod, mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkRecipe } from './recipe.js';
import { checkSite } from './site.js';
import { readStatus } from './status.js';
import { prepareSubmission } from './submit.js';
import { writeTaskRecord, type TaskRecord } from './task-record.js';
import { writeRun, type Run } from './write-run.js';

let folder: string;
let run: Run;
const path = process.env['PATH'];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slurm-status-'));
  const stages = { generate: { tasks: 4 } };
  const recipe = checkRecipe({ data: 'data-bin', model: 'model', stages }, { source: 'test', folder });
  run = await writeRun(join(folder, 'run'), recipe, checkSite({}, 'test'), []);
  await mkdir(join(folder, 'bin'));
  process.env['PATH'] = `${join(folder, 'bin')}:${path}`;
  await slurmSays([]);
  await writeFile(run.folder.jobs, 'generate\t40\nmerge\t41\n');
});

afterEach(async () => {
  process.env['PATH'] = path;
  await rm(folder, { recursive: true });
});

/** A Slurm whose answers are written here. */
async function slurmSays(queue: readonly string[], books: readonly string[] = []): Promise<void> {
  for (const [name, lines] of Object.entries({ squeue: queue, sacct: books })) {
    const program = join(folder, 'bin', name);
    await writeFile(program, `#!/bin/bash\ncat <<'END'\n${lines.join('\n')}\nEND\n`);
    await chmod(program, 0o755);
  }
}

async function write(shard: number, changes: Partial<TaskRecord>): Promise<void> {
  const [stage] = run.plan.stages;
  await writeTaskRecord(run.folder.record(stage.name, shard), {
    state: 'running',
    fingerprint: stage.fingerprint,
    attempts: 1,
    host: 'elsewhere',
    pid: 1,
    job: `40_${shard}`,
    startedMs: Date.now() - 20_000,
    updatedMs: Date.now(),
    seconds: 20,
    ...changes,
  });
}

const generate = () => readStatus(run).stages.find(({ stage }) => stage === 'generate')!;

describe('readStatus', () => {
  it('waits for Slurm to queue the tasks of a lost node again', async () => {
    for (const shard of [0, 1]) await write(shard, {});
    await slurmSays([
      '40_0|COMPLETING|NodeDown|n1',
      '40_1|PENDING|BeginTime|',
      '40_2|RUNNING|None|n2',
      '40_[3%2]|PENDING|JobArrayTaskLimit|',
    ]);
    expect(generate()).toMatchObject({ running: 2, waiting: 2, failed: 0 });
    expect(generate().reason).toBe('COMPLETING, BeginTime, JobArrayTaskLimit');
    expect(readStatus(run).failures).toEqual([]);
    await slurmSays(['40_0|NODE_FAIL|NodeDown|n1', '40_1|RUNNING|None|n2']);
    expect(readStatus(run).failures).toMatchObject([
      { shard: 0, job: '40_0', reason: 'it ended without a word; Slurm: NODE_FAIL, NodeDown' },
    ]);
  });

  it('explains a failure by what the task said, its log and the books', async () => {
    const log = join(run.folder.logs, 'generate-40_1.log');
    await writeFile(log, 'slurmstepd: error: *** JOB 42 ON n1 CANCELLED AT x DUE TO TIME LIMIT ***\n');
    await write(0, { state: 'failed', message: 'the command was killed by SIGKILL' });
    await write(1, { log });
    await slurmSays(
      ['40_2|FAILED|JobLaunchFailure|n1'],
      [
        '40_0|OUT_OF_MEMORY|None|n1',
        '40_1|TIMEOUT|TimeLimit|n1',
        '40_3|CANCELLED by 0|None|',
        '40_1|RUNNING|None|n1',
      ],
    );
    expect(readStatus(run).failures).toMatchObject([
      { shard: 0, reason: 'the command was killed by SIGKILL (Slurm: OUT_OF_MEMORY)' },
      { shard: 1, reason: expect.stringMatching(/DUE TO TIME LIMIT \*\*\* \(Slurm: TIMEOUT\)$/) as string },
      { shard: 2, job: '40_2', reason: 'it ended without a word; Slurm: FAILED, JobLaunchFailure' },
    ]);
    expect(generate()).toMatchObject({ failed: 3, waiting: 0, reason: 'CANCELLED' });
  });

  it('goes by the records where Slurm does not answer', async () => {
    await write(0, {});
    await writeFile(join(folder, 'bin', 'squeue'), '#!/bin/bash\nexit 1\n');
    expect(generate()).toMatchObject({ running: 1, failed: 0 });
    expect(readStatus(run).hasQueue).toBe(false);
  });
});

describe('prepareSubmission', () => {
  const tasks = async () => {
    const { stages } = await prepareSubmission(run);
    return stages.map(
      ({ stage, tasks, waitForJobs }) => `${stage.name} ${tasks.join()} ${waitForJobs.join()}`,
    );
  };

  it('waits for single tasks of an array that has failed ones', async () => {
    await slurmSays([
      '40_0|FAILED|NonZeroExitCode|n1',
      '40_1|RUNNING|None|n1',
      '40_[2-3]|PENDING|Resources|',
      '41|PENDING|DependencyNeverSatisfied|',
    ]);
    expect((await tasks()).slice(0, 2)).toEqual(['generate 0 ', 'merge 0 40_1,40_2,40_3']);
  });

  it('submits nothing twice that Slurm holds, suspends or queues again', async () => {
    await slurmSays([
      '40_0|SUSPENDED|None|n1',
      '40_1|REQUEUE_HOLD|JobHeldUser|',
      '40_2|CONFIGURING|None|n1',
      '40_3|REQUEUED|None|',
      '41|PENDING|Dependency|',
    ]);
    expect((await tasks())[0]).toMatch(/^train 0 /);
  });

  it('waits for tasks that are ending until Slurm has queued them again', async () => {
    const turn = join(folder, 'turn');
    await slurmSays([]);
    await writeFile(
      join(folder, 'bin', 'squeue'),
      `#!/bin/bash
if [ -e ${turn} ]; then echo '40_[0-3]|PENDING|BeginTime|'; else echo '40_0|COMPLETING|NodeDown|n1'; touch ${turn}; fi
echo '41|PENDING|Dependency|'
`,
    );
    expect((await tasks())[0]).toMatch(/^train 0 /);
  });

  it('refuses where Slurm does not answer, lest work be done twice', async () => {
    await writeFile(join(folder, 'bin', 'squeue'), '#!/bin/bash\nexit 1\n');
    await expect(prepareSubmission(run)).rejects.toMatchObject({ code: 'SLURM_SUBMIT' });
  });
});
