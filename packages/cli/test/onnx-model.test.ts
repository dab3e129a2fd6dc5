// A model that was exported to ONNX, through all commands.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { repositoryFile } from '@knn-lm/testing';
import { lossOf, run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const data = join(work, 'data-bin');
const datastore = join(work, 'datastore');
const model = ['--path', repositoryFile('packages', 'lm-runtime', 'test', 'exports', 'gpt2.opset13.onnx')];
const blocks = [
  '--tokens-per-sample',
  '16',
  '--context-window',
  '8',
  '--max-tokens',
  '64',
  '--gen-subset',
  'valid',
];
const text = [data, ...model, ...blocks];
const capture = ['--datastore', datastore, '--module-to-capture', 'transformer.h[-1].ln_2'];

// With fairseq's four symbols there are 61 words, as many as the model knows.
const words = Array.from({ length: 57 }, (_, i) => `w${i}`);

beforeAll(async () => {
  await writeFile(join(work, 'dict.txt'), words.map((word) => `${word} 1\n`).join(''));
  const lines = Array.from({ length: 12 }, (_, i) =>
    words.map((_word, k) => words[(k * (i + 1)) % 57]).join(' '),
  );
  await writeFile(join(work, 'text'), `${lines.join('\n')}\n`);
  const files = ['--srcdict', join(work, 'dict.txt'), '--validpref', join(work, 'text'), '--destdir', data];
  await runOk('fairseq-preprocess', ['--only-source', ...files]);
});

describe('an .onnx file as --path', () => {
  it('is evaluated', async () => {
    const { perplexity } = lossOf(await runOk('fairseq-eval-lm', text));
    // Random weights know nothing: far above the 61 of a guess.
    expect(perplexity).toBeGreaterThan(61);
  });

  it('gives a datastore of its modules, which is searched', async () => {
    const { stdout } = await runOk('generate_lm_datastore', [...text, ...capture]);
    expect(stdout).toContain('module transformer.h[2].ln_2');
    await runOk('build_faiss_index', ['--datastore', datastore, '--index-type', 'IndexFlatL2']);
    const alone = lossOf(await runOk('fairseq-eval-lm', text));
    const score = ['--score-knn-lm', '--num-neighbors', '4', '--lambda-value', '0.5'];
    const mixed = lossOf(await runOk('eval_knn_lm', [...text, ...capture, ...score]));
    // The text is its own datastore.
    expect(mixed.perplexity).toBeLessThan(alone.perplexity / 2);
  });

  it('lists its modules', async () => {
    const { stdout } = await runOk('knn-lm', ['list-modules', model[1]]);
    expect(stdout.split('\n')).toContain('transformer.h[2].ln_2');
  });

  it('says which modules there are when one is not', async () => {
    const wrong = ['--datastore', datastore, '--module-to-capture', 'layers[-1].final_layer_norm'];
    const { status, stderr } = await run('generate_lm_datastore', [...text, ...wrong]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/no module layers\[-1\]\.final_layer_norm.*\n.*transformer\.h\[2\]\.ln_2/);
  });
});

describe('data made with a tokenizer.json', () => {
  const tokenized = join(work, 'tokenized');
  const tokenizer = join(work, 'tokenizer.json');
  const onTokenized = [tokenized, ...model, ...blocks];

  beforeAll(async () => {
    // The same ids of the model as the dictionary gives; the data have others: every one is 4 more.
    const vocab = Object.fromEntries(
      ['<s>', '<pad>', '</s>', '<unk>', ...words].map((word, id) => [word, id]),
    );
    const wordPiece = { type: 'WordPiece', unk_token: '<unk>', continuing_subword_prefix: '##', vocab };
    const absent = { normalizer: null, post_processor: null, decoder: null, added_tokens: [] };
    const described = { ...absent, pre_tokenizer: { type: 'WhitespaceSplit' }, model: wordPiece };
    await writeFile(tokenizer, JSON.stringify({ version: '1.0', ...described }));
    const files = ['--validpref', join(work, 'text'), '--destdir', tokenized];
    const how = ['--tokenizer', tokenizer, '--tokenizer-eos', '</s>'];
    await runOk('fairseq-preprocess', ['--only-source', ...files, ...how]);
  });

  it('has the perplexity that it has in ids of the model', async () => {
    const direct = lossOf(await runOk('fairseq-eval-lm', text));
    expect(lossOf(await runOk('fairseq-eval-lm', onTokenized))).toEqual(direct);
  });

  it('is shown as tokens and as text', async () => {
    const args = ['inspect-data', tokenized, '--gen-subset', 'valid', '--end', '1'];
    const { stdout } = await runOk('knn-lm', args);
    expect(stdout).toBe(`0\t${words.map((_, k) => words[k]).join(' ')} </s>\n`);
    expect((await runOk('knn-lm', [...args, '--raw-text'])).stdout).toBe(`${words.join(' ')}\n`);
    const { sentences } = JSON.parse((await runOk('knn-lm', [...args, '--json'])).stdout) as {
      sentences: { text: string }[];
    };
    expect(sentences.map((sentence) => sentence.text)).toEqual([words.join(' ')]);
  });

  it('is continued as it is in ids of the model', async () => {
    const args = [...model, '--prompt', 'w3 w1 w4', '--max-len-b', '8', '--ignore-eos', '--json'];
    const continued = async (folder: string) =>
      JSON.parse((await runOk('knn-lm', ['generate', folder, ...args])).stdout) as {
        text: string;
        prompt_tokens: number[];
        tokens: { symbol: string; log_prob: number }[];
      };
    const [direct, mapped] = [await continued(data), await continued(tokenized)];
    expect(mapped.prompt_tokens).toEqual([2, 11, 9, 12]);
    expect(mapped.tokens.map(({ symbol }) => symbol)).toEqual(direct.tokens.map(({ symbol }) => symbol));
    expect(mapped.text.split(/\s+/)).toHaveLength(8);
    mapped.tokens.forEach(({ log_prob: found }, i) =>
      expect(found).toBeCloseTo(direct.tokens[i].log_prob, 4),
    );
    const { stdout } = await runOk('knn-lm', ['generate', tokenized, ...args.slice(0, -1)]);
    expect(stdout.trimEnd().split(' ').slice(3)).toEqual(mapped.text.split(' '));
  });

  it('is refused without a token for line ends', async () => {
    const files = ['--validpref', join(work, 'text'), '--destdir', join(work, 'refused')];
    const { status, stderr } = await run('fairseq-preprocess', [
      '--only-source',
      ...files,
      '--tokenizer',
      tokenizer,
    ]);
    expect(status).toBe(1);
    expect(stderr).toContain('--tokenizer-eos');
  });
});
