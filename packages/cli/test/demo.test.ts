// The recipe end to end on the text and the model of the demo, which are in the repository. The Python system's numbers on
// the same data are those of demo/README.md.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { lossOf, messages, run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const data = join(work, 'data-bin');
const datastore = join(work, 'datastore');
const checkpoint = join(work, 'model.pt');
const blocks = [
  '--sample-break-mode',
  'none',
  '--tokens-per-sample',
  '256',
  '--context-window',
  '128',
  '--max-tokens',
  '1024',
];
const capture = ['--task', 'language_modeling_knn', '--module-to-capture', 'layers[-1].final_layer_norm'];
const generate = [
  data,
  ...capture,
  ...blocks,
  '--gen-subset',
  'valid',
  '--path',
  checkpoint,
  '--saving-mode',
  '--keys-dtype',
  'fp16',
];
const evaluateTest1 = [data, ...blocks, '--path', checkpoint, '--gen-subset', 'test1'];

beforeAll(async () => {
  await copyFile(repositoryFile('demo', 'model.pt'), checkpoint);
  const test = await readFile(repositoryFile('demo', 'text', 'speeches.test.tokens'), 'utf8');
  await writeFile(join(work, 'short.tokens'), test.split('\n').slice(0, 40).join('\n') + '\n');
  await runOk('fairseq-preprocess', [
    '--only-source',
    ...['--srcdict', repositoryFile('demo', 'dict.txt')],
    ...['--validpref', repositoryFile('demo', 'text', 'speeches.valid.tokens')],
    ...[
      '--testpref',
      `${repositoryFile('demo', 'text', 'speeches.test.tokens')},${join(work, 'short.tokens')}`,
    ],
    ...['--destdir', data],
  ]);
});

describe('fairseq-eval-lm', () => {
  it("gives the Python system's loss, and converts the checkpoint once", async () => {
    const first = await runOk('fairseq-eval-lm', [
      data,
      ...blocks,
      '--path',
      checkpoint,
      '--gen-subset',
      'valid',
    ]);
    expect(Math.abs(lossOf(first).lossBase2 - 7.503)).toBeLessThan(0.0005);
    expect(messages(first)).toContain(`${data} valid 167 examples`);
    const second = await runOk('fairseq-eval-lm', evaluateTest1);
    expect(second.stdout).not.toMatch(/convert/i);
  });

  it('warns of a GPU flag in one line and goes on', async () => {
    const finished = await runOk('fairseq-eval-lm', [...evaluateTest1, '--fp16']);
    expect(messages(finished).filter((line) => line.includes('CPU is used'))).toHaveLength(1);
  });
});

describe('generate_lm_datastore, build_faiss_index, eval_knn_lm', () => {
  it('stops on Ctrl-C with status 130, keeps what it has, and resumes to the same bytes', async () => {
    const interrupted = join(work, 'interrupted');
    let sent = false;
    const stopped = await run(
      'generate_lm_datastore',
      [...generate, '--datastore', interrupted, '--log-format', 'json'],
      {
        onStderr(text, kill) {
          if (!sent && text.includes('"stage":"keys"')) {
            sent = true;
            kill('SIGINT');
          }
        },
      },
    );
    // On a fast machine the run may be over before the first progress line; then there is nothing to interrupt.
    if (sent) expect(stopped.status).toBe(130);
    await runOk('generate_lm_datastore', [...generate, '--datastore', interrupted]);
    const whole = await runOk('generate_lm_datastore', [...generate, '--datastore', datastore]);
    expect(messages(whole)).toContain('Datastore keys dimension: 256');
    expect(messages(whole)).toContain('Saved tokens / All tokens: 21130 / 21258');
    for (const name of ['keys.npy', 'values.npy']) {
      expect(await digest(join(interrupted, name))).toBe(await digest(join(datastore, name)));
    }
  });

  it('keeps a finished datastore and says so; --overwrite makes it again', async () => {
    const before = await digest(join(datastore, 'keys.npy'));
    const kept = await runOk('generate_lm_datastore', [...generate, '--datastore', datastore]);
    expect(kept.stdout).toMatch(/finished.*kept/);
    expect(kept.stdout).toMatch(/--overwrite/);
    await runOk('generate_lm_datastore', [...generate, '--datastore', datastore, '--overwrite']);
    expect(await digest(join(datastore, 'keys.npy'))).toBe(before);
  });

  it('checks --datastore-size: too large names the right size, smaller cuts', async () => {
    const folder = join(work, 'sized');
    const large = await run('generate_lm_datastore', [
      ...generate,
      '--datastore',
      folder,
      '--datastore-size',
      '21131',
    ]);
    expect(large.status).toBe(1);
    expect(large.stderr).toMatch(/--datastore-size is 21131, but the text gives 21130/);
    expect(existsSync(join(folder, 'keys.npy'))).toBe(false);
    await runOk('generate_lm_datastore', [...generate, '--datastore', folder, '--datastore-size', '1000']);
    const cut = await readFile(join(folder, 'values.npy'));
    expect(cut).toHaveLength(8000);
    expect(cut.equals((await readFile(join(datastore, 'values.npy'))).subarray(0, 8000))).toBe(true);
  });

  it('lowers the perplexity of modern text with both kinds of index', async () => {
    const alone = lossOf(await runOk('fairseq-eval-lm', evaluateTest1));
    const mixed = [
      ...evaluateTest1,
      ...capture,
      '--score-knn-lm',
      '--lambda-value',
      '0.3',
      '--temperature-value',
      '20',
    ];
    const flat = join(work, 'flat');
    await mkdir(flat);
    for (const name of ['keys.npy', 'values.npy', 'datastore.msgpack'])
      await copyFile(join(datastore, name), join(flat, name));
    await runOk('build_faiss_index', ['--datastore', flat, '--index-type', 'IndexFlatL2']);
    const exact = lossOf(
      await runOk('eval_knn_lm', [...mixed, '--datastore', flat, '--num-neighbors', '256']),
    );
    expect(exact.perplexity).toBeLessThan(0.9 * alone.perplexity);

    await runOk('build_faiss_index', [
      '--datastore',
      datastore,
      '--ncentroids',
      '64',
      '--code-size',
      '32',
      '--use-gpu',
      '--knn-fp16',
    ]);
    const ivfpq = [
      ...mixed,
      '--datastore',
      datastore,
      '--num-neighbors',
      '256',
      '--recompute-distance',
      '--load-keys',
      '--move-to-memory',
    ];
    const approximate = lossOf(await runOk('eval_knn_lm', ivfpq));
    expect(approximate.perplexity).toBeLessThan(0.9 * alone.perplexity);
    expect(Math.abs(approximate.lossBase2 - exact.lossBase2)).toBeLessThan(0.05);

    const kept = await runOk('build_faiss_index', [
      '--datastore',
      datastore,
      '--ncentroids',
      '64',
      '--code-size',
      '32',
    ]);
    expect(kept.stdout).toMatch(/kept/);
  });

  it('finds neighbours among keys reduced by PCA: queries go through the same map', async () => {
    const alone = lossOf(await runOk('fairseq-eval-lm', evaluateTest1));
    const reduced = join(work, 'reduced');
    const to = ['--transformed-datastore', reduced, '--reduced-keys-dimension', '64'];
    await runOk('knn-lm', ['reduce-datastore-dims', '--method', 'PCA', '--datastore', datastore, ...to]);
    await runOk('build_faiss_index', ['--datastore', reduced, '--index-type', 'IndexFlatL2']);
    const mix = [
      '--score-knn-lm',
      '--lambda-value',
      '0.3',
      '--temperature-value',
      '20',
      '--num-neighbors',
      '256',
    ];
    const mixed = await runOk('eval_knn_lm', [...evaluateTest1, ...capture, '--datastore', reduced, ...mix]);
    expect(lossOf(mixed).perplexity).toBeLessThan(0.9 * alone.perplexity);
  });

  it('without --score-knn-lm is the language model alone', async () => {
    const alone = lossOf(await runOk('fairseq-eval-lm', evaluateTest1));
    const plain = lossOf(
      await runOk('eval_knn_lm', [...evaluateTest1, ...capture, '--datastore', datastore]),
    );
    expect(plain).toEqual(alone);
  });

  it('chooses settings in one pass that evaluation confirms', async () => {
    const common = [
      ...evaluateTest1,
      ...capture,
      '--datastore',
      datastore,
      '--num-neighbors',
      '64',
      '--score-knn-lm',
    ];
    const grid = ['--candidate-lambda-value', '0.1', '0.4', '--candidate-temperature-value', '1', '30'];
    const { stdout } = await runOk('knn-lm', ['tune', ...common, ...grid]);
    const best =
      /best: --num-neighbors 64 --lambda-value (\S+) --temperature-value (\S+) \(perplexity (\S+)\)/.exec(
        stdout,
      );
    expect(best).not.toBeNull();
    const [, lambda, temperature, perplexity] = best as RegExpExecArray;
    const confirmed = await runOk('eval_knn_lm', [
      ...common,
      '--lambda-value',
      lambda,
      '--temperature-value',
      temperature,
    ]);
    expect(lossOf(confirmed).perplexity).toBeCloseTo(Number(perplexity), 2);
  });
});

async function digest(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}
