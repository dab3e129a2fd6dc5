// Tuning, settings, the neighbours of an evaluation and inspect, on the demo's text and model.
import { readdirSync } from 'node:fs';
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { lossOf, run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const at = (name: string) => join(work, name);
const data = at('data-bin');
const store = at('datastore');
const settings = at('settings.json');
const model = ['--path', repositoryFile('demo', 'model.pt'), '--model-cache', at('cache')];
const blocks = ['--tokens-per-sample', '256', '--context-window', '128', '--max-tokens', '1024'];
const common = [data, ...model, ...blocks, '--datastore', store];
const tuned = [...common, '--gen-subset', 'valid', '--num-neighbors', '64'];

interface NeighborLine {
  readonly row: number;
  readonly distance: number;
  readonly share: number;
  readonly id: number;
  readonly position?: number;
  readonly context?: readonly string[];
}

interface TokenLine {
  readonly position: number;
  readonly sentence: number;
  readonly token: number;
  readonly id: number;
  readonly context: readonly string[];
  readonly p_lm: number;
  readonly p_knn: number;
  readonly p: number;
  readonly lambda_value: number;
  readonly neighbors: readonly NeighborLine[];
}

interface Loss {
  readonly loss_base2: number;
  readonly perplexity: number;
}

interface Tuned {
  readonly best: Loss;
  readonly found: readonly (Loss & { source: string; lambda_value: unknown; test: Loss; held_out: Loss })[];
  readonly settings: { readonly source: string };
}

const linesOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as TokenLine);

beforeAll(async () => {
  const text = async (name: string) =>
    (await readFile(repositoryFile('demo', 'text', `speeches.${name}.tokens`), 'utf8')).split('\n');
  const valid = await text('valid');
  const test = await text('test');
  await writeFile(at('train'), valid.slice(0, 60).join('\n') + '\n');
  await writeFile(at('valid'), valid.slice(60, 75).join('\n') + '\n');
  await writeFile(at('test'), test.slice(0, 12).join('\n') + '\n');
  await runOk('fairseq-preprocess', [
    ...['--only-source', '--srcdict', repositoryFile('demo', 'dict.txt'), '--destdir', data],
    ...['--trainpref', at('train'), '--validpref', at('valid'), '--testpref', at('test')],
  ]);
  const module = ['--module-to-capture', 'layers[-1].final_layer_norm'];
  await runOk('generate_lm_datastore', [...common, ...module, '--gen-subset', 'train']);
  await runOk('build_faiss_index', ['--datastore', store, '--index-type', 'IVF8,Flat']);
});

describe('knn-lm tune', () => {
  it('finds settings, tests them, and saves what eval_knn_lm --settings reads', async () => {
    const candidates = ['--candidate-num-neighbors', '8', '64', '--candidate-temperature-value', '10', '20'];
    const { stdout } = await runOk('knn-lm', [
      ...['tune', ...tuned, ...candidates, '--test-subset', 'test', '--save-settings', settings],
      ...['--save-lambda', 'adaptive', '--json'],
    ]);
    const { found, best, settings: saved } = JSON.parse(stdout) as Tuned;
    expect(found.map(({ source }) => source)).toEqual(['grid', 'fitted', 'adaptive']);
    expect(found[1].perplexity).toBeLessThanOrEqual(best.perplexity);
    expect(saved).toEqual({ path: settings, source: 'adaptive' });

    const evaluated = await runOk('eval_knn_lm', [...common, '--gen-subset', 'test', '--settings', settings]);
    expect(lossOf(evaluated).lossBase2).toBeCloseTo(found[2].test.loss_base2, 3);
    expect(evaluated.stdout).toContain(`settings of ${settings}`);
    expect(evaluated.stdout).toMatch(/lambda adaptive \(/);
    // No datastore text is the evaluated text here.
    expect(evaluated.stdout).not.toContain('this very text');
  });

  it('flags that are given win, and a line says so', async () => {
    const given = ['--settings', settings, '--lambda-value', '0.1'];
    const { stdout } = await runOk('eval_knn_lm', [...common, '--gen-subset', 'test', ...given]);
    expect(stdout).toContain(`not taken from ${settings}: --lambda-value`);
    expect(stdout).toMatch(/lambda 0\.1, temperature (10|20),/);
  });

  it('settings of another index are refused with both fingerprints; --force takes them', async () => {
    const other = at('other');
    await cp(store, other, { recursive: true });
    for (const name of readdirSync(other).filter((file) => file.startsWith('faiss')))
      await rm(join(other, name));
    await runOk('build_faiss_index', ['--datastore', other, '--index-type', 'IndexFlatL2']);
    const args = [...common, '--datastore', other, '--gen-subset', 'test', '--settings', settings];
    const refused = await run('eval_knn_lm', args);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/made with another index: [0-9a-f]{64}; this evaluation has [0-9a-f]{64}/);
    const forced = await runOk('eval_knn_lm', [...args, '--force']);
    expect(forced.stdout).toContain('was made with another index');
  });

  it('warns who evaluates on the text of the datastore', async () => {
    const own = [...common, '--gen-subset', 'train', '--score-knn-lm', '--num-shards', '5'];
    expect((await runOk('eval_knn_lm', own)).stdout).toContain('was made from this very text');
  });
});

describe('--output-neighbors and knn-lm inspect', () => {
  const neighbors = [...common, '--gen-subset', 'test', '--num-neighbors', '16', '--temperature-value', '20'];
  const scored = [...neighbors, '--score-knn-lm', '--lambda-value', '0.3'];
  let words: string[];
  let datastoreWords: string[];
  beforeAll(async () => {
    const wordsOf = async (split: string) =>
      (await runOk('knn-lm', ['inspect-data', data, '--gen-subset', split, '--json'])).stdout;
    const parse = (text: string) =>
      (JSON.parse(text) as { sentences: { words: string[] }[] }).sentences.flatMap((one) => one.words);
    words = parse(await wordsOf('test'));
    datastoreWords = parse(await wordsOf('train'));
  });

  it('writes every token of the text once, with neighbours that are where it says', async () => {
    const path = at('neighbors.jsonl');
    const { stdout } = await runOk('eval_knn_lm', [
      ...scored,
      ...['--output-neighbors', path, '--output-neighbors-k', '16', '--output-neighbors-context', '3'],
    ]);
    const lines = linesOf(await readFile(path, 'utf8')).sort((a, b) => a.position - b.position);
    expect(lines.map(({ position }) => position)).toEqual(words.map((_, i) => i));
    let logProbSum = 0;
    for (const line of lines) {
      const { position, context, p, p_lm: pLm, p_knn: pKnn, neighbors: found } = line;
      expect(context).toEqual(words.slice(Math.max(0, position - 3), position));
      expect(p).toBeCloseTo(0.7 * pLm + 0.3 * pKnn, 10);
      logProbSum += Math.log2(p);
      expect(found.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
      const matching = found.filter(({ id }) => id === line.id);
      expect(matching.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(pKnn, 9);
      for (const neighbor of found) {
        const there = neighbor.position as number;
        expect(neighbor).toMatchObject({
          word: datastoreWords[there],
          context: datastoreWords.slice(Math.max(0, there - 3), there),
        });
      }
    }
    expect(-logProbSum / lines.length).toBeCloseTo(lossOf({ stdout, stderr: '', status: 0 }).lossBase2, 3);
  });

  it('inspect says of a token what the evaluation wrote', async () => {
    const { stdout } = await runOk('knn-lm', [
      ...['inspect', ...scored, '--range', '200:203', '--jsonl', '--neighbors', '16', '--context', '3'],
    ]);
    const inspected = linesOf(stdout);
    expect(inspected.map(({ position }) => position)).toEqual([200, 201, 202]);
    const written = linesOf(await readFile(at('neighbors.jsonl'), 'utf8'));
    for (const token of inspected) {
      const same = written.find(({ position }) => position === token.position) as TokenLine;
      expect(token.neighbors.map(({ row }) => row)).toEqual(same.neighbors.map(({ row }) => row));
      expect(token.p).toBeCloseTo(same.p, 6);
    }
    const [{ sentence, token, position }] = inspected;
    const place = ['--sentence', String(sentence), '--token', String(token), '--jsonl'];
    expect(linesOf((await runOk('knn-lm', ['inspect', ...scored, ...place])).stdout)).toMatchObject([
      { position },
    ]);
  });

  it('shows a table that is no wider than the terminal, and has no colours where none are wanted', async () => {
    const args = ['inspect', ...scored, '--top-gain', '3', '--quiet'];
    const { stdout } = await runOk('knn-lm', args, { env: { COLUMNS: '60' } });
    const lines = stdout.split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
    expect(lines.filter((line) => line.startsWith('token '))).toHaveLength(3);
    expect(stdout).not.toMatch(/\u001b/);
  });

  it('knows the places of a text that was appended', async () => {
    const grown = at('grown');
    await cp(store, grown, { recursive: true });
    const module = ['--module-to-capture', 'layers[-1].final_layer_norm', '--append'];
    const args = [...common, '--datastore', grown];
    await runOk('generate_lm_datastore', [...args, ...module, '--gen-subset', 'valid']);
    await runOk('build_faiss_index', ['--datastore', grown, '--index-type', 'IndexFlatL2', '--overwrite']);
    const { stdout, stderr } = await runOk('knn-lm', [
      ...['inspect', ...scored, '--datastore', grown, '--range', '300:330', '--jsonl', '--context', '2'],
    ]);
    expect(stderr).not.toContain('cannot be shown');
    const found = linesOf(stdout).flatMap(({ neighbors: all }) => all);
    expect(found.filter(({ context }) => context === undefined)).toEqual([]);
    const rows = JSON.parse((await runOk('knn-lm', ['verify', store, '--json'])).stdout) as { rows: number };
    expect(found.some(({ row }) => row >= rows.rows)).toBe(true);
  });

  it('says in one line why a pruned datastore has no contexts', async () => {
    const pruned = at('pruned');
    const sample = ['--method', 'random_pruning', '--pruned-datastore-size', '500'];
    await runOk('prune_datastore', ['--datastore', store, ...sample, '--pruned-datastore', pruned]);
    await runOk('build_faiss_index', ['--datastore', pruned, '--index-type', 'IndexFlatL2']);
    const { stdout, stderr } = await runOk('knn-lm', [
      ...['inspect', ...scored, '--datastore', pruned, '--position', '5', '--jsonl'],
    ]);
    expect(stderr).toContain('does not tell which token a row is: it was pruned');
    const [{ neighbors: found }] = linesOf(stdout);
    expect(found).toHaveLength(10);
    expect(found[0]).not.toHaveProperty('context');
  });

  it.each([
    [['--output-neighbors', at('x.jsonl')], 1, /needs neighbours/],
    [['--score-knn-lm', '--output-neighbors', at('no/x.jsonl')], 1, /does not exist/],
    [['--score-knn-lm', '--output-neighbors', at('x'), '--output-neighbors-range', '5'], 2, /not a range/],
    [['--settings', data], 1, /cannot read the settings/],
  ])('eval_knn_lm refuses %j', async (args, status, message) => {
    const finished = await run('eval_knn_lm', [...neighbors, ...args]);
    expect(finished.status).toBe(status);
    expect(finished.stderr).toMatch(message);
  });

  it.each([
    [[], 2, /give one of --position/],
    [['--position', '3', '--range', '1:2'], 2, /give one of/],
    [['--position', '3', '--token', '1'], 2, /goes with --sentence/],
    [['--position', '9999999'], 1, /there is no token 9999999/],
    [['--sentence', '1', '--token', '999'], 1, /sentence 1 has \d+ tokens/],
    [['--range', '7:3'], 2, /not a range/],
  ])('inspect refuses %j', async (args, status, message) => {
    const finished = await run('knn-lm', ['inspect', ...scored, ...args]);
    expect(finished.status).toBe(status);
    expect(finished.stderr).toMatch(message);
  });
});

describe('docs/guides/tuning.md', () => {
  it('has commands that run as they stand there', async () => {
    const demo = at('demo');
    await mkdir(join(demo, 'work', 'model'), { recursive: true });
    await symlink(repositoryFile('demo', 'model.pt'), join(demo, 'model.pt'));
    await symlink(data, join(demo, 'work', 'data-bin'));
    await symlink(store, join(demo, 'work', 'datastore'));
    const guide = await readFile(repositoryFile('docs', 'guides', 'tuning.md'), 'utf8');
    const commands = [...guide.matchAll(/^\$ ((?:.*\\\n)*.*)/gm)].map(([, command]) =>
      // This text is shorter than the demo's.
      command.replaceAll('\\\n', ' ').replace('--position 5002', '--position 502').split(/\s+/),
    );
    expect(commands.map(([program]) => program)).toEqual(['knn-lm', 'eval_knn_lm', 'knn-lm']);
    const printed: string[] = [];
    for (const [program, ...args] of commands)
      printed.push((await runOk(program, args, { cwd: demo })).stdout);
    expect(printed[0]).toMatch(/settings \((fitted|adaptive)\) are in settings\.json\n$/);
    expect(printed[1]).toContain('settings of settings.json');
    expect(printed[2]).toMatch(/^token 502 \(sentence \d+, token \d+\)\n.*\np_LM /);
  });
});
