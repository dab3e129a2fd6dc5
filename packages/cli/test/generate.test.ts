// `knn-lm generate` on the demo's model, with a datastore of a few sentences.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const data = join(work, 'data-bin');
const store = join(work, 'datastore');
const model = ['--path', repositoryFile('demo', 'model.pt'), '--model-cache', join(work, 'cache')];
const prompt = ['--prompt', 'we have a duty to the people of'];
const alone = [data, ...model, ...prompt, '--max-len-b', '12', '--ignore-eos'];
const mixed = [...alone, '--datastore', store, '--num-neighbors', '16', '--lambda-value', '0.5'];
const explained = [...mixed, '--temperature-value', '20', '--explain'];

interface Result {
  readonly text: string;
  readonly tokens: readonly { symbol: string; lm_symbol: string; decided_by_neighbors: boolean }[];
  readonly decided_by_neighbors: number;
  readonly ended_by: string;
}

async function json(args: readonly string[]): Promise<Result> {
  return JSON.parse((await runOk('knn-lm', ['generate', ...args, '--json'])).stdout) as Result;
}

beforeAll(async () => {
  const text = await readFile(repositoryFile('demo', 'text', 'speeches.valid.tokens'), 'utf8');
  await writeFile(join(work, 'text'), text.split('\n').slice(0, 15).join('\n') + '\n');
  const dictionary = ['--srcdict', repositoryFile('demo', 'dict.txt'), '--destdir', data];
  await runOk('fairseq-preprocess', ['--only-source', '--trainpref', join(work, 'text'), ...dictionary]);
  const blocks = ['--tokens-per-sample', '256', '--context-window', '128', '--max-tokens', '256'];
  const capture = ['--datastore', store, '--module-to-capture', 'layers[-1].final_layer_norm'];
  await runOk('generate_lm_datastore', [data, ...model, ...blocks, '--gen-subset', 'train', ...capture]);
  await runOk('build_faiss_index', ['--datastore', store, '--index-type', 'IndexFlatL2']);
});

describe('knn-lm generate', () => {
  it('prints the prompt and its continuation, the same each time', async () => {
    const first = await runOk('knn-lm', ['generate', ...alone]);
    expect(first.stdout).toMatch(/^we have a duty to the people of \S.*\n$/s);
    expect((await runOk('knn-lm', ['generate', ...alone])).stdout).toBe(first.stdout);
    const { text, tokens, ended_by: endedBy } = await json(alone);
    expect(first.stdout.trimEnd().split(/\s+/).slice(8).join(' ')).toBe(
      text.replaceAll('</s>', '').replaceAll(/\s+/g, ' ').trim(),
    );
    expect(tokens).toHaveLength(12);
    expect(endedBy).toBe('length');
  });

  it('marks the tokens that the neighbours decided, and says how many', async () => {
    const { stdout } = await runOk('knn-lm', ['generate', ...explained]);
    const { tokens, decided_by_neighbors: decided } = await json(explained);
    expect(decided).toBeGreaterThan(0);
    expect(stdout).toContain(`\n${decided} of 12 tokens were decided by the neighbours`);
    const [text] = stdout.split('\n\n┌');
    for (const { symbol, lm_symbol: other, decided_by_neighbors: isDecided } of tokens) {
      expect(isDecided).toBe(symbol !== other);
      if (isDecided) expect(text).toContain(`[${symbol}]`);
    }
    expect(text.match(/\[\S+\]/g)).toHaveLength(decided);
    const without = await json([...explained, '--lambda-value', '0']);
    expect(without.text).toBe((await json(alone)).text);
    expect(without.decided_by_neighbors).toBe(0);
  });

  it('draws by a seed', async () => {
    const draw = async (seed: string) =>
      (await json([...mixed, '--sampling', '--sampling-topk', '40', '--seed', seed])).text;
    const [first, again, other] = await Promise.all(['3', '3', '4'].map(draw));
    expect(first).toBe(again);
    expect(first).not.toBe(other);
  });

  it('tells the words that it does not know, and takes an empty prompt from standard input', async () => {
    const unknown = ['--prompt', 'the Zyzzyva of the Quokka'];
    const { stderr } = await runOk('knn-lm', ['generate', ...alone, ...unknown]);
    expect(stderr).toMatch(/WARNING.*2 words of the prompt.*read as <unk>: Zyzzyva, Quokka\n/);
    const { stdout } = await runOk('knn-lm', ['generate', ...alone, '--prompt', '-', '--no-unk']);
    expect(stdout).toMatch(/^\S/);
    expect(stdout).not.toContain('<unk>');
  });

  it('stops at the end of a line', async () => {
    const long = [...alone.filter((word) => word !== '--ignore-eos'), '--max-len-b', '400', '--sampling'];
    const { stdout } = await runOk('knn-lm', ['generate', ...long]);
    expect(stdout.indexOf('\n')).toBe(stdout.length - 1);
    expect(await json(long)).toMatchObject({ ended_by: 'end of line' });
  });

  it('stops on Ctrl-C, with the text so far', async () => {
    let killed = false;
    const { status, stdout, stderr } = await run('knn-lm', ['generate', ...mixed, '--max-len-b', '1000000'], {
      onStderr: (text, kill) => {
        if (!killed && text.includes('k 16, lambda 0.5')) setTimeout(() => kill('SIGINT'), 500);
        killed ||= text.includes('k 16, lambda 0.5');
      },
    });
    expect(status).toBe(130);
    expect(stdout).toMatch(/^we have a duty to the people of .*\n$/s);
    expect(stderr).toContain('stopped between two tokens');
  });

  it.each([
    [['--sampling-topk', '5'], 1, '--sampling-topk is for sampling'],
    [['--sampling', '--sampling-topp', '1.5'], 1, 'top-p of sampling is 1.5'],
    [['--module-to-capture', 'layers[9]'], 1, 'no module layers[9]'],
    [['--context-length', '0'], 1, 'contextLength is 0'],
    [['--max-lenb', '3'], 2, '--max-len'],
  ])('refuses %j', async (args, status, message) => {
    const finished = await run('knn-lm', ['generate', ...alone, ...args]);
    expect(finished.status).toBe(status);
    expect(finished.stderr).toContain(message);
    expect(finished.stderr).not.toContain('unexpected');
  });
});
