// eval_knn_lm --report, on the demo's text and model.
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { lossOf, run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const at = (name: string) => join(work, name);
const page = at("it's a report.html");
const store = at('datastore');
const model = ['--path', repositoryFile('demo', 'model.pt'), '--model-cache', at('cache')];
const blocks = ['--tokens-per-sample', '256', '--context-window', '128', '--max-tokens', '1024'];
const common = [at('data-bin'), ...model, ...blocks, '--datastore', store];
const search = ['--gen-subset', 'test', '--num-neighbors', '16', '--lambda-value', '0.3'];
const evaluation = [...common, ...search, '--temperature-value', '20', '--score-knn-lm'];

beforeAll(async () => {
  const text = await readFile(repositoryFile('demo', 'text', 'speeches.valid.tokens'), 'utf8');
  const lines = text.split('\n');
  await writeFile(at('train'), lines.slice(0, 40).join('\n') + '\n');
  await writeFile(at('test'), lines.slice(40, 52).join('\n') + '\n');
  await runOk('fairseq-preprocess', [
    ...['--only-source', '--srcdict', repositoryFile('demo', 'dict.txt'), '--destdir', at('data-bin')],
    ...['--trainpref', at('train'), '--testpref', at('test')],
  ]);
  const module = ['--module-to-capture', 'layers[-1].final_layer_norm'];
  await runOk('generate_lm_datastore', [...common, ...module, '--gen-subset', 'train']);
  await runOk('build_faiss_index', ['--datastore', store, '--index-type', 'IVF8,Flat']);
});

describe('eval_knn_lm --report', () => {
  it('writes the page, says where, and ends with the lines of every evaluation', async () => {
    const finished = await runOk('eval_knn_lm', [
      ...evaluation,
      ...['--recompute-distance', '--load-keys', '--report', page],
    ]);
    const plain = await runOk('eval_knn_lm', [...evaluation, '--recompute-distance', '--load-keys']);
    const { perplexity } = lossOf(finished);
    expect(perplexity).toBe(lossOf(plain).perplexity);
    expect(finished.stdout).toContain(`the report is in ${page} (`);
    const html = await readFile(page, 'utf8');
    expect(html.includes(`<strong>${perplexity.toFixed(2)}</strong>`)).toBe(true);
    // The command can be pasted into a shell, whatever the name of the file is.
    expect(html.includes(`--report &#39;${page.replaceAll("'", '&#39;\\&#39;&#39;')}&#39;`)).toBe(true);
    expect(html.includes('Recall at 100')).toBe(true);
    for (const what of ['Fingerprints', 'Times and sizes', 'Versions', 'Settings']) {
      expect([what, html.includes(`<caption>${what}</caption>`)]).toEqual([what, true]);
    }
  });

  it('shows the neighbours in their own contexts', async () => {
    const html = await readFile(page, 'utf8');
    const json = /id="passage-data">(.*?)<\/script>/.exec(html)?.[1] ?? '';
    const passages = JSON.parse(json) as [number, number, number, number, unknown, NeighborRow[]][][];
    const text = (await readFile(at('train'), 'utf8'))
      .replaceAll(/\s*\n\s*/g, ' </s> ')
      .replaceAll(/ +/g, ' ');
    const neighbors = passages.flat().flatMap(([, , , , , rows]) => rows);
    expect(neighbors.length).toBeGreaterThan(1000);
    for (const [, , , word, before, after] of neighbors.slice(0, 500)) {
      // Words that the dictionary does not know are not those of the text.
      const around = `${before.replace(/^…\S*/, '')} ${word} ${after.replace(/\S*…$/, '')}`.trim();
      if (!around.includes('<unk>')) expect(text).toContain(around);
    }
  });

  it('is part of the result for programs, and says what was not measured', async () => {
    const { stdout } = await runOk('knn-lm', ['eval', ...evaluation, '--report', page, '--json']);
    const result = JSON.parse(stdout) as { report: object };
    const bytes = (await readFile(page)).length;
    expect(result.report).toEqual({ path: page, bytes, datastore_text: true });
    const schemas = repositoryFile('packages', 'cli', 'schema');
    const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
    for (const file of readdirSync(schemas)) {
      ajv.addSchema(JSON.parse(readFileSync(join(schemas, file), 'utf8')) as object);
    }
    const validate = ajv.getSchema('eval.schema.json');
    void validate?.(result);
    expect(validate?.errors).toBeNull();
    const html = await readFile(page, 'utf8');
    expect(html.includes('Recall was not measured: the keys were not opened')).toBe(true);
  });

  it.each([
    ['where nothing is searched', [...common, ...search, '--report', page], 1, '--report needs neighbours'],
    ['in a folder that is not there', [...evaluation, '--report', at('no/x.html')], 1, '[FILE_ENOENT]'],
    ['in the place of a folder', [...evaluation, '--report', at('folder')], 1, '[FILE_EISDIR]'],
    [
      'with a number of queries that is none',
      [...evaluation, '--report', page, '--report-queries', '-1'],
      2,
      'not a whole number from 0',
    ],
  ])('is refused before the evaluation %s', async (_, args, expectedStatus, message) => {
    await mkdir(at('folder'), { recursive: true });
    const { status, stdout, stderr } = await run('eval_knn_lm', args);
    expect([status, stderr]).toEqual([expectedStatus, expect.stringContaining(message)]);
    expect(stdout).not.toContain('Evaluated');
  });
});

type NeighborRow = [
  row: number,
  distance: number,
  share: number,
  word: string,
  before: string,
  after: string,
];
