// --device, --precision and --threads of the commands that run a model.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { repositoryFile } from '@knn-lm/testing';
import { lossOf, run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const data = join(work, 'data-bin');
const model = ['--path', repositoryFile('demo', 'model.pt'), '--model-cache', join(work, 'cache')];
const blocks = ['--tokens-per-sample', '128', '--max-tokens', '256', '--gen-subset', 'valid'];
const text = [data, ...model, ...blocks];

beforeAll(async () => {
  const valid = await readFile(repositoryFile('demo', 'text', 'speeches.valid.tokens'), 'utf8');
  await writeFile(join(work, 'text'), valid.split('\n').slice(0, 20).join('\n') + '\n');
  const dictionary = ['--srcdict', repositoryFile('demo', 'dict.txt')];
  const files = ['--validpref', join(work, 'text'), '--destdir', data];
  await runOk('fairseq-preprocess', ['--only-source', ...dictionary, ...files]);
});

describe('--device', () => {
  it.each(['webgpu', 'cuda'])('%s works, or is an error that says why and how to get it', async (device) => {
    const finished = await run('fairseq-eval-lm', [...text, '--device', device]);
    if (finished.status === 0) return expect(finished.stdout).toContain(`device ${device}`);
    expect(finished.status).toBe(1);
    const [first, hint, code, ...rest] = finished.stderr.trim().split('\n').slice(-3);
    expect(first).toMatch(new RegExp(`error: the device ${device} cannot be used: .{10}`));
    expect(hint).toMatch(/--device cpu/);
    expect(code).toBe('  [DEVICE_UNAVAILABLE]');
    expect(rest).toEqual([]);
  });

  it('a device that nobody has is a usage error', async () => {
    const { status, stderr } = await run('fairseq-eval-lm', [...text, '--device', 'abacus']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/abacus.*webgpu/);
  });

  it("fairseq's own flags for a GPU are one line, as ever", async () => {
    const { stdout } = await runOk('fairseq-eval-lm', [...text, '--fp16']);
    expect(stdout.match(/--fp16 has no effect/g)).toHaveLength(1);
  });
});

describe('--precision', () => {
  const module = ['--module-to-capture', 'layers[-1].final_layer_norm'];

  it('int8 gives about the same perplexity', async () => {
    const exact = lossOf(await runOk('fairseq-eval-lm', text));
    const finished = await runOk('fairseq-eval-lm', [...text, '--precision', 'int8', '--threads', '1']);
    expect(finished.stdout).toContain('device cpu, int8');
    const rounded = lossOf(finished);
    expect(Math.abs(rounded.lossBase2 - exact.lossBase2)).toBeLessThan(0.02);
  });

  it('a datastore of one precision is not evaluated with the other unnoticed', async () => {
    const datastore = ['--datastore', join(work, 'datastore'), ...module];
    const context = ['--context-window', '64'];
    await runOk('generate_lm_datastore', [...text, ...context, ...datastore, '--precision', 'int8']);
    await runOk('build_faiss_index', ['--datastore', join(work, 'datastore'), '--index-type', 'IndexFlatL2']);
    const search = [...text, ...context, ...datastore, '--score-knn-lm', '--num-neighbors', '4'];
    await runOk('eval_knn_lm', [...search, '--precision', 'int8']);
    const { status, stderr } = await run('eval_knn_lm', search);
    expect(status).toBe(1);
    expect(stderr).toMatch(/another model/);
  });

  it('--compare-precision prints both', async () => {
    const { stdout } = await runOk('fairseq-eval-lm', [...text, '--compare-precision']);
    expect(stdout).toMatch(/fp32 +│ +\d+\.\d{4} │ +\d+\.\d\d │/);
    expect(stdout).toMatch(/int8 +│ +\d+\.\d{4} │ +\d+\.\d\d │/);
    expect(stdout).toMatch(/int8 changes the perplexity by [+-]0\.\d+ %/);
  });
});
