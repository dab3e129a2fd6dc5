// `--json` of every command, against the schemas that the package ships.
import { readdirSync, readFileSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { commands } from '../src/commands/registry.js';
import { run, runOk, scratchFolder, type Finished, type RunOptions } from './commands.js';

const schemas = repositoryFile('packages', 'cli', 'schema');
const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
for (const file of readdirSync(schemas)) {
  ajv.addSchema(JSON.parse(readFileSync(join(schemas, file), 'utf8')) as object);
}

const work = await scratchFolder();
const at = (name: string) => join(work, name);
const data = at('data-bin');
const store = at('datastore');
const model = ['--path', repositoryFile('demo', 'model.pt'), '--model-cache', at('cache')];
const blocks = ['--tokens-per-sample', '256', '--context-window', '128', '--max-tokens', '256'];
const valid = [...model, ...blocks, '--gen-subset', 'valid'];
const neighbors = [...valid, '--datastore', store, '--score-knn-lm', '--num-neighbors', '8'];
/** What each command gave; filled in the order in which the commands need each other. */
const results = new Map<string, Record<string, unknown>>();

/** Standard output as one object, which must be all that is there, and which the schema must know. */
function parse({ stdout }: Finished, schema: string): Record<string, unknown> {
  expect(stdout.endsWith('\n') && stdout.indexOf('\n') === stdout.length - 1).toBe(true);
  const result = JSON.parse(stdout) as Record<string, unknown>;
  const validate = ajv.getSchema(`${schema}.schema.json`);
  if (validate === undefined) throw new Error(`there is no ${schema}.schema.json`);
  void validate(result);
  expect(validate.errors ?? []).toEqual([]);
  return result;
}

async function json(command: string, args: readonly string[], options?: RunOptions) {
  const finished = await run('knn-lm', [command, ...args, '--json'], options);
  const result = parse(finished, command);
  expect(result).toMatchObject({ command, ok: finished.status === 0 });
  results.set(command, result);
  return result;
}

beforeAll(async () => {
  const text = await readFile(repositoryFile('demo', 'text', 'speeches.valid.tokens'), 'utf8');
  await writeFile(at('text'), text.split('\n').slice(0, 15).join('\n') + '\n');
});

describe('--json', () => {
  it('preprocess, inspect-data, count-tokens', async () => {
    const preprocessed = await json('preprocess', [
      ...['--only-source', '--srcdict', repositoryFile('demo', 'dict.txt')],
      ...['--validpref', at('text'), '--destdir', data],
      // Long enough to be stopped in the middle.
      ...['--testpref', repositoryFile('demo', 'text', 'speeches.valid.tokens')],
    ]);
    expect(preprocessed).toMatchObject({ splits: [{ split: 'valid', sentences: 15 }, { split: 'test' }] });
    const [{ tokens }] = preprocessed['splits'] as [{ tokens: number }];
    expect(await json('count-tokens', ['--data-bin-path', join(data, 'valid')])).toMatchObject({ tokens });
    const inspected = await json('inspect-data', [
      data,
      '--gen-subset',
      'valid',
      '--start',
      '3',
      '--end',
      '5',
    ]);
    expect(inspected['sentences']).toHaveLength(2);
    // The option is none of Python's: its dump of all options does not have it.
    expect(await readFile(join(data, 'preprocess.log'), 'utf8')).not.toContain('json');
  });

  it('generate-datastore, once and again; everything else goes to standard error', async () => {
    const args = [data, ...valid, '--module-to-capture', 'layers[-1].final_layer_norm', '--datastore', store];
    expect(await json('generate-datastore', args)).toMatchObject({ kept: false, rows_resumed: 0 });
    const again = await run('generate_lm_datastore', [...args, '--json']);
    expect(again.stderr).toMatch(/\| INFO \| knn_models_cli.generate_lm_datastore \| /);
    expect(parse(again, 'generate-datastore')).toMatchObject({ kept: true, rows_written: 0 });
  });

  it('build-index, index-stats, verify', async () => {
    const built = await json('build-index', ['--datastore', store, '--index-type', 'IVF4,Flat']);
    expect(built).toMatchObject({ entries: results.get('generate-datastore')?.['rows'], kept: false });
    const shard = ['--datastore', store, '--index-type', 'IVF4,Flat', '--num-shards', '2', '--shard-id'];
    for (const id of ['0', '1']) await json('build-index', [...shard, id]);
    const merged = await json('merge-index', [store, '--overwrite', '--remove-shards']);
    expect(merged).toMatchObject({ shards: 2, entries: built['entries'], bytes: built['bytes'] });
    const statistics = await json('index-stats', [
      store,
      '--queries',
      '5',
      '--nprobe',
      '4',
      '--num-neighbors',
      '3',
    ]);
    expect(statistics).toMatchObject({ recall: [{ nprobe: 4, k: 3, recall: 1 }] });
    const verified = await json('verify', [store, '--data', data]);
    expect(verified).toMatchObject({ ok: true, problems: [] });
  });

  it('verify of a damaged datastore: ok is false, and the exit status 1', async () => {
    const copy = at('damaged');
    await json('merge-datastore', ['--datastore-list', store, '--merged-datastore', copy]);
    const values = await readFile(join(copy, 'values.npy'));
    values[0] ^= 1;
    await writeFile(join(copy, 'values.npy'), values);
    const finished = await run('knn-lm', ['verify', copy, '--json']);
    expect(finished.status).toBe(1);
    expect(parse(finished, 'verify')).toMatchObject({ ok: false, problems: [{ kind: 'checksum' }] });
  });

  it('eval, eval-lm and tune agree with what people read', async () => {
    const shown = await runOk('eval_knn_lm', [data, ...neighbors]);
    const evaluated = await json('eval', [data, ...neighbors]);
    const { loss_base2: loss, perplexity } = evaluated as { loss_base2: number; perplexity: number };
    expect(shown.stdout).toContain(
      `Loss (base 2): ${loss.toFixed(4)}, Perplexity: ${perplexity.toFixed(2)}\n`,
    );
    expect(evaluated).toMatchObject({
      options: { num_neighbors: 8, lambda_value: 0.5 },
      neighbors: { num_neighbors: 8, distances: 'index' },
    });
    const alone = await json('eval-lm', [data, ...valid]);
    const lambdas = ['--candidate-lambda-value', '0.5', '--candidate-temperature-value', '1', '20'];
    const tuned = await json('tune', [data, ...neighbors, ...lambdas]);
    expect(tuned['results']).toHaveLength(2);
    expect(tuned).toMatchObject({ language_model: { perplexity: alone['perplexity'] } });
    expect((tuned['results'] as { loss_base2: number }[])[0].loss_base2).toBeCloseTo(loss, 6);
    const inspected = await json('inspect', [data, ...neighbors, '--range', '300:303', '--neighbors', '2']);
    expect(inspected).toMatchObject({ datastore_text: true, tokens: [{ position: 300 }, {}, {}] });
  });

  it('generate', async () => {
    const prompt = ['--prompt', 'the people of', '--path', model[1], '--model-cache', at('cache')];
    const mixed = [
      ...prompt,
      '--datastore',
      store,
      '--num-neighbors',
      '8',
      '--max-len-b',
      '5',
      '--ignore-eos',
    ];
    const generated = await json('generate', [data, ...mixed, '--sampling', '--temperature-value', '20']);
    expect(generated).toMatchObject({ prompt: 'the people of', neighbors: { num_neighbors: 8 } });
    expect(generated['tokens']).toHaveLength(5);
    expect(await json('generate', [data, ...prompt, '--max-len-b', '3'])).toMatchObject({ neighbors: null });
  });

  it('eval-lm --compare-precision', async () => {
    const finished = await runOk('fairseq-eval-lm', [data, ...valid, '--compare-precision', '--json']);
    expect(parse(finished, 'eval-lm')['precisions']).toHaveLength(2);
  });

  it('what makes a datastore from another', async () => {
    const from = ['--datastore', store];
    const rows = results.get('generate-datastore')?.['rows'];
    const deduped = await json('dedup-datastore', [...from, '--deduped-datastore', at('deduped')]);
    expect(deduped).toMatchObject({ rows, rows_left_out: 0 });
    const sample = ['--method', 'random_pruning', '--pruned-datastore-size', '100'];
    const pruned = await json('prune-datastore', [...from, ...sample, '--pruned-datastore', at('pruned')]);
    expect(pruned).toMatchObject({ rows: 100 });
    const pca = [
      '--method',
      'PCA',
      '--reduced-keys-dimension',
      '16',
      '--transformed-datastore',
      at('reduced'),
    ];
    expect(await json('reduce-datastore-dims', [...from, ...pca])).toMatchObject({ rows, dimension: 16 });
  });

  it('the model, the commands, the version', async () => {
    await json('convert-checkpoint', model.slice(1));
    expect((await json('list-modules', [model[1]]))['modules']).toContain('layers[0]');
    expect((await json('help', []))['commands']).toHaveLength(Object.keys(commands).length);
    await json('version', []);
  });

  it('doctor: with a plan, its rows are those of the datastore', async () => {
    const planned = await json('doctor', [
      ...[data, ...model, ...blocks, '--gen-subset', 'valid', '--eval-subset', 'valid', '--datastore', store],
      ...['--module-to-capture', 'layers[-1].final_layer_norm', '--measure-seconds', '0'],
      ...['--recompute-distance', '--ncentroids', '4', '--code-size', '8', '--num-neighbors', '8'],
    ]);
    const { rows, dimension } = results.get('generate-datastore') as { rows: number; dimension: number };
    expect(planned).toMatchObject({
      devices: [{ name: 'cpu', works: true }, ...(planned['devices'] as object[]).slice(1)],
      plan: { entries: rows, dimension, datastore_is_there: true, index_is_there: true, disk_suffices: true },
    });
    const { datastore_bytes: bytes } = planned['plan'] as { datastore_bytes: number };
    const written = await Promise.all(['keys.npy', 'values.npy'].map((name) => stat(join(store, name))));
    expect(bytes).toBe(written[0].size + written[1].size);
  });

  it('completion', async () => {
    expect((await json('completion', ['bash']))['script']).toContain('complete -F');
  });

  it('eval in shards, reduce-eval', async () => {
    const file = (shard: string) => at(`${shard}.part`);
    for (const shard of ['0', '1']) {
      const place = ['--num-shards', '2', '--shard-id', shard, '--partial-result', file(shard)];
      const finished = await runOk('eval_knn_lm', [data, ...neighbors, ...place, '--json']);
      expect(parse(finished, 'eval')).toMatchObject({ partial: { num_shards: 2, path: file(shard) } });
    }
    const place = ['--num-shards', '1', '--partial-result', at('lm.part')];
    const alone = await runOk('fairseq-eval-lm', [data, ...valid, ...place, '--json']);
    expect(parse(alone, 'eval-lm')).toMatchObject({ partial: { shard_id: 0 } });
    const reduced = await json('reduce-eval', ['--partial-results', file('1'), file('0')]);
    expect(reduced['loss_base2']).toBe(results.get('eval')?.['loss_base2']);
  });

  it('slurm, slurm-status, slurm-task', async () => {
    const folder = at('slurm-run');
    const planned = await json('slurm', [
      '--data',
      data,
      ...model.slice(0, 2),
      '--folder',
      folder,
      '--dry-run',
    ]);
    expect(planned).toMatchObject({
      submitted: false,
      finished: false,
      stages: [{ stage: 'convert' }, {}, {}, {}, {}],
    });
    const task = ['--run', folder, '--stage', 'generate', '--shard', '0', '--', process.execPath, '-e'];
    const failed = await run('knn-lm', [
      'slurm-task',
      '--json',
      ...task,
      'console.error("error: no"); process.exit(3)',
    ]);
    expect(parse(failed, 'slurm-task')).toMatchObject({ ok: false, outcome: 'failed' });
    expect(await json('slurm-status', [folder])).toMatchObject({
      failures: [{ stage: 'generate', reason: 'error: no' }],
    });
    const done = await runOk('knn-lm', ['slurm-task', '--json', ...task, '']);
    results.set('slurm-task', parse(done, 'slurm-task'));
    expect(results.get('slurm-task')).toMatchObject({
      ok: true,
      stage: 'generate',
      shard: 0,
      outcome: 'done',
    });
  });

  it('has a schema and an example above for every command', () => {
    expect(Object.keys(commands).filter((name) => !results.has(name))).toEqual([]);
  });
});

describe('errors under --json', () => {
  it.each([
    ['a failure', ['verify', at('nothing'), '--json'], 1, 'DATASTORE_NOT_FOUND'],
    ['a wrong option', ['verify', store, '--jsn', '--json'], 2, 'USAGE'],
    ['both spellings of it', ['count-tokens', '-d', 'x', '--jso', '--json'], 1, 'DATASET_NOT_FOUND'],
    ['an unknown command', ['--json', 'evla'], 2, 'USAGE'],
    ['no command', ['--json'], 2, 'USAGE'],
    ['half a plan', ['doctor', data, '--json'], 1, 'DOCTOR_NEEDS_BOTH'],
  ])('%s', async (_, args, status, code) => {
    const finished = await run('knn-lm', args);
    expect(finished.status).toBe(status);
    expect(parse(finished, 'error')).toMatchObject({ ok: false, error: { code } });
    expect(finished.stderr).not.toBe('');
  });

  it('the option alone cannot be abbreviated', async () => {
    const finished = await run('count_tokens', ['-d', 'x', '--jso']);
    expect(finished).toMatchObject({ status: 2, stdout: '' });
    expect(finished.stderr).toContain('--json cannot be abbreviated');
  });

  it('stopping: status 130, and what is kept', async () => {
    const folder = at('stopped');
    let killed = false;
    const args = [
      data,
      ...valid,
      '--gen-subset',
      'test',
      '--datastore',
      folder,
      '--no-progress-bar',
      '--json',
      '--log-format',
      'json',
    ];
    const finished = await run('generate_lm_datastore', args, {
      onStderr: (text, kill) => {
        if (!killed && text.includes('parameters)')) kill('SIGINT');
        killed ||= text.includes('parameters)');
      },
    });
    expect(finished.status).toBe(130);
    expect(parse(finished, 'error')).toMatchObject({ error: { code: 'CANCELLED' } });
  });
});
