// knn-lm slurm without Slurm: the local runner goes through the same scripts. Slurm itself: npm run test:slurm.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const blocks = '--tokens-per-sample 64 --context-window 32 --max-tokens 512';

beforeAll(async () => {
  const text = await readFile(repositoryFile('demo', 'text', 'speeches.valid.tokens'), 'utf8');
  const lines = text.split('\n');
  await writeFile(join(work, 'train.txt'), `${lines.slice(0, 14).join('\n')}\n`);
  await writeFile(join(work, 'test.txt'), `${lines.slice(14, 20).join('\n')}\n`);
  const recipe = {
    name: 'small',
    data: { train: 'train.txt', test: 'test.txt', dictionary: repositoryFile('demo', 'dict.txt') },
    model: repositoryFile('demo', 'model.pt'),
    stages: {
      generate: { tasks: 2, flags: blocks },
      train: { flags: '--ncentroids 4 --code-size 8' },
      add: { tasks: 2 },
      evaluate: { tasks: 2, flags: `${blocks} --num-neighbors 8 --recompute-distance --load-keys` },
    },
  };
  await writeFile(join(work, 'recipe.json'), JSON.stringify(recipe));
});

const local = (more: readonly string[]) =>
  ['slurm', 'recipe.json', '--runner', 'local', '--jobs', '2', '--json', ...more] as const;

describe('knn-lm slurm --runner local', () => {
  it('gives one loss, however the work is cut, and does nothing twice', async () => {
    const ways = [[], ['--tasks', '1'], ['--set', 'keepIndexShards=true', 'linkShards=false']];
    const losses: unknown[] = [];
    for (const [i, settings] of ways.entries()) {
      const args = local(['--folder', `run-${i}`, ...settings]);
      const { stdout } = await runOk('knn-lm', args, { cwd: work });
      expect(JSON.parse(stdout)).toMatchObject({ finished: true, submitted: false });
      const result = await readFile(join(work, `run-${i}`, 'work', 'result.json'), 'utf8');
      losses.push((JSON.parse(result) as { loss_base2: number }).loss_base2);
    }
    expect(losses[0]).toBeGreaterThan(1);
    expect(new Set(losses).size).toBe(1);
    const record = join(work, 'run-0', 'state', 'generate', '0.json');
    const before = await readFile(record, 'utf8');
    await runOk('knn-lm', local(['--folder', 'run-0']), { cwd: work });
    expect(await readFile(record, 'utf8')).toBe(before);
    const table = (await runOk('knn-lm', ['slurm-status', 'run-0'], { cwd: work })).stdout;
    expect(table).toMatch(/│ generate +│ +2 │ +2 │ +0 │ +0 │ +0 │/);
  });

  it('evaluates changed settings in the same folder, and refuses another datastore', async () => {
    const flags = `stages.evaluate.flags=${blocks} --num-neighbors 4`;
    await runOk('knn-lm', local(['--folder', 'run-0', '--set', flags]), { cwd: work });
    const changed = `stages.generate.flags=${blocks} --keys-dtype fp32`;
    const refused = await run('knn-lm', local(['--folder', 'run-0', '--set', changed]), { cwd: work });
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('generate has finished tasks');
  });

  it('runs one task where two variables say which', async () => {
    const folder = join(work, 'run-0');
    await rm(join(folder, 'state', 'evaluate', '1.json'));
    const script = (env: Record<string, string>) =>
      spawnSync('bash', [join(folder, 'evaluate.sbatch')], {
        env: { ...process.env, ...env },
        encoding: 'utf8',
      });
    const wrong = script({ KNN_LM_SHARD: '1', KNN_LM_SHARDS: '3' });
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toContain('task 1 of 3 was asked for, but evaluate has 2 tasks');
    expect(script({ KNN_LM_SHARD: '1', KNN_LM_SHARDS: '2' }).status).toBe(0);
    expect(existsSync(join(folder, 'state', 'evaluate', '1.json'))).toBe(true);
  });
});

describe('knn-lm slurm', () => {
  it.each([
    ['a mistyped key', ['--set', 'stages.generate.task=3'], 'did you mean tasks?'],
    ['a mistyped flag', ['--set', 'stages.train.flags=--ncentriods 8'], 'did you mean --ncentroids?'],
    [
      'a flag that the plan sets',
      ['--set', 'stages.train.flags=--datastore x'],
      '--datastore is set by the plan',
    ],
    ['a site that is missing', ['--site', 'nowhere.json'], 'nowhere.json'],
  ])('refuses %s before anything is written', async (_, more, message) => {
    const refused = await run(
      'knn-lm',
      ['slurm', 'recipe.json', '--folder', 'refused', '--dry-run', ...more],
      { cwd: work },
    );
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain(message);
    expect(existsSync(join(work, 'refused'))).toBe(false);
  });
});

describe('a task', () => {
  const task = (command: readonly string[]) =>
    run('knn-lm', ['slurm-task', '--run', 'tasks', '--stage', 'train', '--shard', '0', '--', ...command], {
      cwd: work,
    });
  const script = (code: string) => [process.execPath, '-e', code];

  beforeAll(() => runOk('knn-lm', ['slurm', 'recipe.json', '--folder', 'tasks', '--dry-run'], { cwd: work }));

  it('is started again when it is killed', async () => {
    const mark = join(work, 'killed');
    const code = `const fs = require('fs'); if (fs.existsSync(${JSON.stringify(mark)})) process.exit(4);
      fs.writeFileSync(${JSON.stringify(mark)}, ''); process.kill(process.pid, 'SIGKILL')`;
    const finished = await task(script(code));
    expect(finished.stdout).toContain('the command was killed by SIGKILL; starting again (1 of 2)');
    expect(finished.status).toBe(1);
    const status = await runOk('knn-lm', ['slurm-status', 'tasks', '--json'], { cwd: work });
    expect(JSON.parse(status.stdout)).toMatchObject({
      failures: [{ reason: 'the command ended with status 4' }],
    });
  });

  it('that cannot be started says so', async () => {
    expect((await task(['no-such-program'])).status).toBe(1);
    const status = await runOk('knn-lm', ['slurm-status', 'tasks'], { cwd: work });
    expect(status.stdout).toContain('train 0: error: spawn no-such-program ENOENT');
  });

  it('of another run is refused', async () => {
    const finished = await run('knn-lm', ['slurm-task', '--run', 'nowhere', '--stage', 'x', '--', 'true'], {
      cwd: work,
    });
    expect(finished.stderr).toContain('nowhere is no folder of knn-lm slurm');
  });
});

describe('tools/simulate-scale', () => {
  it('finds the arithmetic of large runs sound', () => {
    const script = repositoryFile('tools', 'simulate-scale.mjs');
    const { status, stdout } = spawnSync(process.execPath, [script, '--tasks', '64'], { encoding: 'utf8' });
    expect(status, stdout).toBe(0);
    expect(stdout.match(/^ok /gm)).toHaveLength(6);
  });
});
