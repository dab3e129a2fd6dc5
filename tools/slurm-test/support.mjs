// What the tests against a real Slurm share: a small recipe, its result in one process, and ways to watch and disturb.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const cli = join(root, 'packages', 'cli', 'bin', 'knn-lm.js');
const atPoint = join(dirname(fileURLToPath(import.meta.url)), 'at-point.mjs');
const pollMs = 250;
/** Far beyond what a busy machine needs: what does not happen by then never does. */
const limitMs = 300_000;
const shownLines = 25;

const blocks = '--tokens-per-sample 256 --context-window 128 --max-tokens 2048';
const index = '--ncentroids 16 --code-size 8';
const scoring = `${blocks} --num-neighbors 64 --lambda-value 0.45 --temperature-value 20 --recompute-distance --load-keys`;

/** Runs a command that must succeed, and gives what it prints. */
export function run(program, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', ...options });
  if (status === 0) return stdout;
  throw new Error(
    `${program} ${args.join(' ')}: ${error?.message ?? `status ${status}`}\n${stdout}\n${stderr}`,
  );
}

/** The commands under test, and texts that are long enough to be interrupted, in a scratch folder. */
export class Bench {
  constructor(folder, env) {
    this.folder = folder;
    this.env = { ...process.env, ...env };
    const text = (name, bytes) => {
      const lines = readFileSync(join(root, 'demo', 'text', `speeches.${name}.tokens`), 'utf8').slice(
        0,
        bytes,
      );
      writeFileSync(join(folder, `${name}.tokens`), lines.slice(0, lines.lastIndexOf('\n') + 1));
    };
    mkdirSync(folder, { recursive: true });
    text('train', 100_000);
    text('test', 20_000);
    for (const name of ['dict.txt', 'model.pt']) {
      writeFileSync(join(folder, name), readFileSync(join(root, 'demo', name)));
    }
    writeFileSync(join(folder, 'recipe.json'), JSON.stringify(this.recipe(), undefined, 2));
  }

  recipe() {
    return {
      name: 'demo',
      data: { train: 'train.tokens', test: 'test.tokens', dictionary: 'dict.txt' },
      model: 'model.pt',
      stages: {
        generate: { flags: blocks },
        train: { flags: index },
        evaluate: { flags: scoring },
      },
    };
  }

  knnLm(args, options) {
    return run(process.execPath, [cli, ...args], { cwd: this.folder, env: this.env, ...options });
  }

  slurm(command, args) {
    return run(command, args, { env: this.env });
  }

  /** Settings of a site: one core a task, and lines to run first. */
  site(name, settings = {}) {
    const path = join(this.folder, `${name}.site.json`);
    writeFileSync(
      path,
      JSON.stringify({ partition: 'p', time: '10', cpus: 1, warningSeconds: 30, ...settings }),
    );
    return path;
  }

  /**
   * A program that stands before `knn-lm` on the path of the tasks.
   *
   * @param lines - lines of bash that run before the command does; they may set `point` to `kill` or `hold`, see
   *   at-point.mjs, and change `args`, its arguments
   * @returns lines to run first in every task
   */
  shim(name, lines) {
    const folder = this.shimFolder(name);
    mkdirSync(folder, { recursive: true });
    const script = join(folder, 'knn-lm');
    const text = [
      '#!/bin/bash',
      `cli=${cli} node=${process.execPath} point= args=("$@")`,
      '[ "$1" = slurm-task ] && exec "$node" "$cli" "$@"',
      ...lines,
      '[ -z "$point" ] && exec "$node" "$cli" "${args[@]}"',
      `export AT_POINT=$point AT_POINT_FOLDER=${folder}`,
      `exec "$node" --import ${atPoint} "$cli" "\${args[@]}"`,
    ];
    writeFileSync(script, `${text.join('\n')}\n`);
    chmodSync(script, 0o755);
    return [`export SHIM=${folder} PATH=${folder}:$PATH`];
  }

  /** A shim that holds the tasks of one command at their point, each once. */
  holding(name, command) {
    return this.shim(name, [`[ "$1" = ${command} ] && point=hold`]);
  }

  shimFolder(name) {
    return join(this.folder, `${name}.shim`);
  }

  /** Tasks that came to their point: `command`, `args`, `node`, `restarts`. */
  atPoint(name) {
    const folder = this.shimFolder(name);
    return readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
  }

  /** Lets the tasks go on that are held. */
  release(name) {
    writeFileSync(join(this.shimFolder(name), 'go'), '');
  }

  /** Submits a run, or what is left of it. */
  submit(name, site, more = []) {
    const args = ['slurm', 'recipe.json', '--folder', name, '--site', site, ...more, '--json'];
    return JSON.parse(this.knnLm(args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  status(name) {
    return JSON.parse(this.knnLm(['slurm-status', name, '--json']));
  }

  stage(name, stage) {
    return this.status(name).stages.find((entry) => entry.stage === stage);
  }

  /** What squeue has of a run's jobs. */
  queue(name) {
    const path = join(this.folder, name, 'jobs.tsv');
    const jobs = existsSync(path)
      ? readFileSync(path, 'utf8')
          .trim()
          .split('\n')
          .map((line) => line.split('\t'))
      : [];
    const stageOf = new Map(jobs.map(([stage, job]) => [job, stage]));
    return this.slurm('squeue', ['--noheader', '--array', '--format=%i|%T|%r|%N'])
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.trim().split('|'))
      .map(([id, state, reason, node]) => ({ id, state, reason, node, stage: stageOf.get(id.split('_')[0]) }))
      .filter(({ stage }) => stage !== undefined);
  }

  /** Waits until a condition holds, and lets tasks that were queued again start at once instead of in two minutes. */
  async until(name, what, condition) {
    const deadline = Date.now() + limitMs;
    for (;;) {
      const queue = this.queue(name);
      for (const { id, reason } of queue) {
        if (reason === 'BeginTime')
          spawnSync('scontrol', ['update', `JobId=${id}`, 'StartTime=now'], { env: this.env });
      }
      if (condition(queue)) return;
      if (Date.now() > deadline) throw new Error(`${name}: ${what} did not happen in ${limitMs / 1000} s`);
      await sleep(pollMs);
    }
  }

  /** Waits until nothing of a run is in the queue, and gives its status. */
  async ended(name) {
    await this.until(name, 'the end of all jobs', (queue) => queue.length === 0);
    return this.status(name);
  }

  /** All that may tell why a test of this run failed. */
  report(name) {
    const told = (title, text) => `---- ${title}\n${text.trimEnd()}\n`;
    const ask = (program, args) => {
      const { stdout, stderr } = spawnSync(program, args, { env: this.env, encoding: 'utf8' });
      return told(`${program} ${args.join(' ')}`, `${stdout}${stderr}`);
    };
    const tail = (path) =>
      told(path, readFileSync(path, 'utf8').trimEnd().split('\n').slice(-shownLines).join('\n'));
    const run = join(this.folder, name);
    const folders = [join(run, 'state'), join(run, 'logs'), join(dirname(this.env.SLURM_CONF), 'log')];
    return [
      ask(process.execPath, [cli, 'slurm-status', run]),
      ask('squeue', ['--states=all']),
      ask('sinfo', ['--Node', '--long']),
      ...folders.flatMap(filesIn).map(tail),
    ].join('');
  }

  record(name, stage, shard = 0) {
    const path = join(this.folder, name, 'state', stage, `${shard}.json`);
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
  }

  /** What a run made, as far as it must be the same however it was made; of linked shards, one after the other. */
  async products(name) {
    const work = join(this.folder, name, 'work');
    const datastore = join(work, 'datastore');
    const isLinked = !existsSync(join(datastore, 'keys.npy'));
    const folders = isLinked
      ? readdirSync(join(work, 'shards'))
          .sort()
          .map((shard) => join(work, 'shards', shard))
      : [datastore];
    const all = (file) => digest(folders.map((folder) => join(folder, file)));
    const index = join(datastore, 'faiss.index');
    return {
      keys: await all('keys.npy'),
      values: await all('values.npy'),
      index: existsSync(index) ? await digest([index]) : undefined,
      loss: this.loss(name),
    };
  }

  manifest(name) {
    return digest([join(this.folder, name, 'work', 'datastore', 'datastore.msgpack')]);
  }

  loss(name) {
    return JSON.parse(readFileSync(join(this.folder, name, 'work', 'result.json'), 'utf8')).loss_base2;
  }

  /** The same from one process for each step, without shards. */
  async singleProcess() {
    const name = 'single';
    const at = (path) => join(this.folder, name, 'work', path);
    const model = [
      '--path',
      'model.pt',
      '--model-cache',
      at('model'),
      '--module-to-capture',
      'layers[-1].final_layer_norm',
    ];
    const texts = ['--trainpref', 'train.tokens', '--testpref', 'test.tokens', '--srcdict', 'dict.txt'];
    const words = (flags) => flags.split(' ');
    this.knnLm(['preprocess', '--only-source', ...texts, '--destdir', at('data-bin')]);
    const data = at('data-bin');
    const store = ['--datastore', at('datastore'), '--threads', '1'];
    this.knnLm(['generate-datastore', data, ...model, ...words(blocks), '--gen-subset', 'train', ...store]);
    this.knnLm(['build-index', ...words(index), ...store]);
    const evaluated = JSON.parse(
      this.knnLm(['eval', data, ...model, ...words(scoring), '--score-knn-lm', ...store, '--json'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    writeFileSync(at('result.json'), JSON.stringify({ loss_base2: evaluated.loss_base2 }));
    return this.products(name);
  }
}

async function digest(paths) {
  const hash = createHash('sha256');
  for (const path of paths) for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}

function filesIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
