// The recipe through a real Slurm on loopback: npm run test:slurm. What is tested is what only a cluster can show; the
// planner and the scripts have their own tests.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { installSlurm, startCluster } from '../slurm-loopback.mjs';
import { Bench } from './support.mjs';

const folder = mkdtempSync(join(tmpdir(), 'knn-lm-slurm-'));
let cluster;

/** A machine without Slurm, or one that does not let its daemons run (some containers), is no fault of the recipe. */
async function whyNot() {
  const missing = installSlurm();
  if (missing !== undefined) return missing;
  try {
    cluster = await startCluster(join(folder, 'cluster'));
    return undefined;
  } catch (error) {
    return error.message;
  }
}

const reason = await whyNot();
if (reason !== undefined) {
  console.log(`# skipped: ${reason}`);
  rmSync(folder, { recursive: true, force: true });
}

describe('the recipe on a Slurm cluster', { skip: reason ?? false }, () => {
  let bench;
  let expected;

  before(async () => {
    bench = new Bench(join(folder, 'bench'), cluster.env);
    // It waits for the clock more than for a core: the other tests run beside it.
    bench.submit('slow', bench.site('slow', slowSite()), ['--tasks', '1']);
    expected = await bench.singleProcess();
  });

  after(async () => {
    await cluster?.stop();
    if (process.env.KEEP === undefined) rmSync(folder, { recursive: true, force: true });
  });

  /** Every generation is slowed down to a tenth until it was queued again. */
  function slowSite() {
    const setup = bench.shim('slow', [
      'if [ "$1" = generate-datastore ] && [ -z "${SLURM_RESTART_COUNT:-}" ]; then',
      '  (while kill -STOP $$; do sleep 0.9; kill -CONT $$; sleep 0.1; done) 2> /dev/null &',
      'fi',
      'exec "${real[@]}" "$@"',
    ]);
    return { time: '1', warningSeconds: 40, setup };
  }

  const ways = [
    { name: 'one', title: '1 task a stage', settings: ['--tasks', '1'] },
    {
      name: 'copied',
      title: '3 tasks a stage, shards merged',
      settings: ['--tasks', '3', '--set', 'linkShards=false'],
    },
    {
      name: 'apart',
      title: '4 tasks a stage, shards of datastore and index left apart',
      settings: ['--tasks', '4', '--set', 'keepIndexShards=true', 'stages.evaluate.tasks=2'],
    },
  ];
  for (const { name, title, settings } of ways) {
    it(`gives the bytes and the loss of one process: ${title}`, async () => {
      const site = bench.site(name);
      bench.submit(name, site, settings);
      const { finished, failures } = await bench.ended(name);
      assert.deepEqual({ finished, failures }, { finished: true, failures: [] });
      const { index, ...others } = await bench.products(name);
      const { index: indexOfOne, ...othersOfOne } = expected;
      assert.deepEqual(others, othersOfOne);
      if (name === 'apart') assert.equal(index, undefined, 'the shards of the index are not merged');
      else {
        assert.equal(index, indexOfOne);
        assert.equal(await bench.manifest(name), await bench.manifest('single'));
      }
      const again = bench.submit(name, site, settings);
      assert.equal(again.submitted, false, 'a finished run has nothing to submit');
    });
  }

  it('goes on when every task of every stage is killed once', async () => {
    const setup = bench.shim('killed', [
      'mark="$SHIM/$1-$(printf %s "$*" | md5sum | cut -c -8)"',
      '[ -e "$mark" ] && exec "${real[@]}" "$@"',
      'touch "$mark"',
      // A quick command may be done by then: it dies before anybody has noted that.
      '"${real[@]}" "$@" &',
      'sleep 0.$((RANDOM % 6 + 3))',
      'kill -KILL $! $$',
    ]);
    bench.submit('killed', bench.site('killed', { setup }), ['--tasks', '2']);
    const { stages } = await bench.ended('killed');
    const marks = readdirSync(join(bench.folder, 'killed.shim')).filter((file) => file !== 'knn-lm');
    assert.equal(
      marks.length,
      stages.reduce((sum, { tasks }) => sum + tasks, 0),
    );
    const attempts = stages.flatMap(({ stage, tasks }) =>
      Array.from({ length: tasks }, (_, shard) => bench.record('killed', stage, shard).attempts),
    );
    assert.ok(
      attempts.every((count) => count === 2),
      `attempts: ${attempts.join(' ')}`,
    );
    assert.deepEqual(await bench.products('killed'), expected);
  });

  it('is cancelled and submitted again', async () => {
    const site = bench.site('cancelled');
    bench.submit('cancelled', site, ['--tasks', '3']);
    await bench.until(
      'cancelled',
      'a running generation',
      () => bench.record('cancelled', 'generate')?.state === 'running',
    );
    const finished = bench.record('cancelled', 'preprocess');
    bench.slurm('scancel', [...new Set(bench.queue('cancelled').map(({ id }) => id.split('_')[0]))]);
    const stopped = await bench.ended('cancelled');
    assert.equal(stopped.finished, false);
    assert.deepEqual(stopped.failures, [], 'a task that was told to stop has not failed');
    bench.submit('cancelled', site, ['--tasks', '3']);
    assert.equal((await bench.ended('cancelled')).finished, true);
    assert.deepEqual(bench.record('cancelled', 'preprocess'), finished, 'finished work is not done again');
    assert.deepEqual(await bench.products('cancelled'), expected);
  });

  it('outlives a daemon that dies, and a node that is lost with its tasks', async () => {
    bench.submit('lost', bench.site('lost'), ['--tasks', '3']);
    const generating = (node) => (queue) =>
      queue.some((task) => task.stage === 'generate' && task.state === 'RUNNING' && task.node === node);
    await bench.until('lost', 'a generation on n1', generating('n1'));
    cluster.killDaemon('n1');
    await cluster.startNode('n1');
    await bench.until('lost', 'a generation on n2', generating('n2'));
    cluster.loseNode('n2');
    await bench.until('lost', 'n2 given up', () =>
      /down/.test(bench.slurm('sinfo', ['--noheader', '--nodes=n2', '--format=%t'])),
    );
    await cluster.startNode('n2');
    const { finished, failures } = await bench.ended('lost');
    assert.deepEqual({ finished, failures }, { finished: true, failures: [] });
    assert.deepEqual(await bench.products('lost'), expected);
  });

  it('shows the line that explains a failure, and goes on once that is mended', async () => {
    const model = join(bench.folder, 'failing', 'work', 'data-bin', 'dict.txt');
    const setup = bench.shim('failing', [
      `[ "$1" = generate-datastore ] && [ ! -e "$SHIM/mended" ] && sed -i '$d' ${model}`,
      'exec "${real[@]}" "$@"',
    ]);
    bench.submit('failing', bench.site('failing', { setup }), ['--tasks', '1']);
    const { stages, failures } = await bench.ended('failing');
    assert.equal(failures.length, 1);
    assert.match(failures[0].reason, /error: the dictionary of .* symbols, the model .* has/);
    assert.ok(existsSync(failures[0].log));
    const state = Object.fromEntries(stages.map(({ stage, done, waiting }) => [stage, { done, waiting }]));
    assert.deepEqual(state.evaluate, { done: 0, waiting: 0 }, 'stages after it do not wait for ever');
    bench.mend('failing');
    bench.submit('failing', bench.site('failing', { setup }), ['--tasks', '1']);
    assert.equal((await bench.ended('failing')).finished, true);
    assert.deepEqual(await bench.products('failing'), expected);
  });

  it('runs out of time, and is queued again', async () => {
    const { finished, failures } = await bench.ended('slow', 150);
    assert.deepEqual({ finished, failures }, { finished: true, failures: [] });
    assert.equal(bench.record('slow', 'generate').attempts, 2);
    const [log] = readdirSync(join(bench.folder, 'slow', 'logs')).filter((file) =>
      file.startsWith('generate-'),
    );
    const text = readFileSync(join(bench.folder, 'slow', 'logs', log), 'utf8');
    assert.match(text, /the time is nearly over: queueing \d+ again/);
    assert.match(text, /stopped: [\d,]+ of [\d,]+ entries are in/);
    assert.deepEqual(await bench.products('slow'), expected);
  });
});
