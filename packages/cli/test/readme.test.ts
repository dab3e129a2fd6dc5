// The examples of the README, run as they stand there, on the demo's text and model.
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import { runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
/** Inside the package, so that the examples find the packages they import. */
const scripts = repositoryFile('packages', 'cli', 'build', 'readme');
const readme = await readFile(repositoryFile('README.md'), 'utf8');
const examples = [...readme.matchAll(/^(.+):\n\n```ts\n([\s\S]*?)```/gm)].map(([, title, code]) => ({
  title,
  code,
}));

beforeAll(async () => {
  await mkdir(scripts, { recursive: true });
  const text = await readFile(repositoryFile('demo', 'text', 'speeches.test.tokens'), 'utf8');
  await writeFile(join(work, 'train.txt'), text.split('\n').slice(0, 20).join('\n') + '\n');
  await copyFile(repositoryFile('demo', 'model.pt'), join(work, 'model.pt'));
  const dictionary = ['--srcdict', repositoryFile('demo', 'dict.txt')];
  const data = ['--testpref', join(work, 'train.txt'), '--destdir', join(work, 'scoring', 'data-bin')];
  await runOk('fairseq-preprocess', ['--only-source', ...dictionary, ...data]);
  await copyFile(join(work, 'model.pt'), join(work, 'scoring', 'model.pt'));
});

/** Runs one example in a folder and gives what it prints. */
async function runExample(title: string, folder: string): Promise<string> {
  const example = examples.find((candidate) => candidate.title === title);
  if (example === undefined) throw new Error(`README.md has no example '${title}'`);
  const { outputText } = ts.transpileModule(example.code, {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
      verbatimModuleSyntax: true,
    },
  });
  const script = join(scripts, `${title.replaceAll(/\W+/g, '-')}.mjs`);
  await writeFile(script, outputText);
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { cwd: folder, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

describe("the README's examples", () => {
  it('dictionary and dataset', async () => {
    const printed = await runExample('Dictionary and dataset', work);
    expect(printed).toMatch(/^\d+ 20 \d+\n.*<\/s>\n$/);
  });

  it('scoring with a model', async () => {
    const perplexity = Number(await runExample('Scoring with a model', join(work, 'scoring')));
    expect(perplexity).toBeGreaterThan(100);
    expect(perplexity).toBeLessThan(500);
  });

  it('a datastore, and an index of it', async () => {
    expect(await runExample('A datastore', work)).toMatch(
      /^2 Float32Array\(4\) \[ 0, 1, 0, 0 \] Int32Array\(1\) \[ 7 \]\n$/,
    );
    expect(await runExample('An index', work)).toMatch(/^1 0\.01/);
  });
});
