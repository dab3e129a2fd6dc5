// The recipe through a real Slurm on loopback: npm run test:slurm. What is tested is what only a cluster can show; the
// planner and the scripts have their own tests.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it as test } from 'node:test';
import { guardFolder, installSlurm, startCluster } from '../slurm-loopback.mjs';
import { Bench } from './support.mjs';

const keep = process.env.KEEP !== undefined;
const folder = mkdtempSync(join(tmpdir(), 'knn-lm-slurm-'));
guardFolder(folder, { keep });
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

  /** A test of one run: should it fail, what is known of the run is printed. */
  const it = (name, title, action) =>
    test(title, async () => {
      try {
        await action(name);
      } catch (error) {
        console.log(bench.report(name));
        throw error;
      }
    });

  before(async () => {
    bench = new Bench(join(folder, 'bench'), cluster.env);
    // It waits for Slurm's clock: the other tests run beside it.
    bench.submit('late', bench.site('late', lateSite()), ['--tasks', '1']);
    expected = await bench.singleProcess();
  });

  after(async () => {
    await cluster?.stop();
    if (!keep) rmSync(folder, { recursive: true, force: true });
  });

  /** Its generation is held until it is told to stop, which Slurm does 40 seconds before the minute is over. */
  function lateSite() {
    const setup = bench.holding('late', 'generate-datastore');
    return { warningSeconds: 40, setup, stages: { generate: { time: '1' } } };
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
    it(name, `gives the bytes and the loss of one process: ${title}`, async () => {
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

  it('killed', 'goes on when every task of every stage is killed once', async (name) => {
    const setup = bench.shim(name, ['point=kill']);
    bench.submit(name, bench.site(name, { setup }), ['--tasks', '2']);
    const { stages } = await bench.ended(name);
    assert.equal(
      bench.atPoint(name).length,
      stages.reduce((sum, { tasks }) => sum + tasks, 0),
    );
    const attempts = stages.flatMap(({ stage, tasks }) =>
      Array.from({ length: tasks }, (_, shard) => bench.record(name, stage, shard).attempts),
    );
    assert.ok(
      attempts.every((count) => count === 2),
      `attempts: ${attempts.join(' ')}`,
    );
    assert.deepEqual(await bench.products(name), expected);
  });

  it('cancelled', 'is cancelled and submitted again', async (name) => {
    const site = bench.site(name, { setup: bench.holding(name, 'generate-datastore') });
    bench.submit(name, site, ['--tasks', '3']);
    await bench.until(name, 'two generations in their middle', () => bench.atPoint(name).length === 2);
    const finished = bench.record(name, 'preprocess');
    bench.slurm('scancel', [...new Set(bench.queue(name).map(({ id }) => id.split('_')[0]))]);
    await bench.until(name, 'the end of all jobs', (queue) => {
      assert.deepEqual(bench.status(name).failures, [], 'a task that is told to stop does not fail');
      return queue.length === 0;
    });
    const stopped = bench.status(name);
    assert.equal(stopped.finished, false);
    assert.deepEqual(stopped.failures, [], 'a task that was told to stop has not failed');
    bench.release(name);
    bench.submit(name, site, ['--tasks', '3']);
    assert.equal((await bench.ended(name)).finished, true);
    assert.deepEqual(bench.record(name, 'preprocess'), finished, 'finished work is not done again');
    assert.deepEqual(await bench.products(name), expected);
  });

  it('lost', 'outlives a daemon that dies, and a node that is lost with its tasks', async (name) => {
    const setup = bench.holding(name, 'generate-datastore');
    bench.submit(name, bench.site(name, { setup }), ['--tasks', '3']);
    const on = (node) => bench.atPoint(name).find((task) => task.node === node);
    await bench.until(name, 'a generation on each node', () => on('n1') && on('n2'));
    const [kept, lost] = ['n1', 'n2'].map((node) => shardOf(on(node)));
    await cluster.killDaemon('n1');
    await cluster.startNode('n1');
    await cluster.loseNode('n2');
    await bench.until(name, 'n2 given up', () => {
      assert.deepEqual(bench.status(name).failures, [], 'what Slurm will start again has not failed');
      return /down/.test(bench.slurm('sinfo', ['--noheader', '--nodes=n2', '--format=%t']));
    });
    bench.release(name);
    // A node that comes back at once is still told to end the task that it lost, which may have begun again on it by
    // then: Slurm waits two minutes for that reason. So the other node does the generation before it comes back.
    await bench.until(name, 'the generation', () => {
      const { done, failed } = bench.stage(name, 'generate');
      assert.equal(failed, 0, 'what Slurm starts again has not failed');
      return done === 3;
    });
    await cluster.startNode('n2');
    await bench.until(name, 'the end of all jobs', (queue) => queue.length === 0);
    const { finished, failures } = bench.status(name);
    assert.deepEqual({ finished, failures }, { finished: true, failures: [] });
    assert.equal(bench.record(name, 'generate', kept).attempts, 1, 'its daemon died, the task did not');
    assert.equal(bench.record(name, 'generate', lost).attempts, 2);
    assert.deepEqual(await bench.products(name), expected);
  });

  /** A dictionary without its last line, for the first shard, until that is mended. */
  const damage = [
    'if [ "$1" = generate-datastore ] && [ ! -e "$SHIM/mended" ]; then',
    '  if [[ "$*" != *"--shard-id"* || "$* " == *"--shard-id 0 "* ]]; then',
    `    cp -r "$2" "$SHIM/data-bin" && sed -i '$d' "$SHIM/data-bin/dict.txt" && args[1]=$SHIM/data-bin`,
    '  fi',
    'fi',
  ];
  const mend = (name) => writeFileSync(join(bench.shimFolder(name), 'mended'), '');

  it('failing', 'shows the line that explains a failure, and goes on once that is mended', async (name) => {
    const site = bench.site(name, { setup: bench.shim(name, damage) });
    bench.submit(name, site, ['--tasks', '1']);
    const { stages, failures } = await bench.ended(name);
    assert.equal(failures.length, 1);
    assert.match(failures[0].reason, /error: the dictionary of .* symbols, the model .* has/);
    assert.ok(existsSync(failures[0].log));
    const state = Object.fromEntries(stages.map(({ stage, done, waiting }) => [stage, { done, waiting }]));
    assert.deepEqual(state.evaluate, { done: 0, waiting: 0 }, 'stages after it do not wait for ever');
    mend(name);
    bench.submit(name, site, ['--tasks', '1']);
    assert.equal((await bench.ended(name)).finished, true);
    assert.deepEqual(await bench.products(name), expected);
  });

  it('partly', 'submits a failed task again while another of its array runs', async (name) => {
    const hold = '[ "$1" = generate-datastore ] && [ "${args[1]}" = "$2" ] && point=hold';
    const site = bench.site(name, { setup: bench.shim(name, [...damage, hold]) });
    bench.submit(name, site, ['--tasks', '2']);
    const hasFailed = () => bench.record(name, 'generate', 0)?.state === 'failed';
    await bench.until(name, 'one failed, one held', () => hasFailed() && bench.atPoint(name).length === 1);
    mend(name);
    bench.submit(name, site, ['--tasks', '2']);
    bench.release(name);
    const { finished, failures } = await bench.ended(name);
    assert.deepEqual({ finished, failures }, { finished: true, failures: [] });
    assert.equal(bench.record(name, 'generate', 1).attempts, 1, 'what ran was left alone');
    assert.deepEqual(await bench.products(name), expected);
  });

  it('late', 'runs out of time, and is queued again', async (name) => {
    const { finished, failures } = await bench.ended(name);
    assert.deepEqual({ finished, failures }, { finished: true, failures: [] });
    assert.equal(bench.record(name, 'generate').attempts, 2);
    const logs = join(bench.folder, name, 'logs');
    const [log] = readdirSync(logs).filter((file) => file.startsWith('generate-'));
    const text = readFileSync(join(logs, log), 'utf8');
    assert.match(text, /the time is nearly over: queueing \d+ again/);
    assert.match(text, /stopped: [\d,]+ of [\d,]+ entries are in/);
    assert.deepEqual(await bench.products(name), expected);
  });
});

/** The shard that a command was given. */
function shardOf({ args }) {
  return Number(args[args.indexOf('--shard-id') + 1]);
}
