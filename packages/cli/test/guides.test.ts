// The guides, followed literally: every `bash` block runs as it stands there, every `ts` block is compiled and run, one
// after the other, in a folder with the model and some of the text of the demo.
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import { commands } from '../src/commands/registry.js';
import { parseArguments } from '../src/options/parse.js';
import { scratchFolder } from './commands.js';

const work = await scratchFolder();
/** Inside the package, so that the examples find the packages they import. */
const scripts = repositoryFile('packages', 'cli', 'build', 'guides');

const guide = (name: string) => readFile(repositoryFile('docs', 'guides', `${name}.md`), 'utf8');

/** The blocks of one language, in order. */
function blocks(markdown: string, language: string): string[] {
  const found = [...markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)];
  return found.filter(([, name]) => name === language).map(([, , code]) => code);
}

beforeAll(async () => {
  await copyFile(repositoryFile('demo', 'model.pt'), join(work, 'model.pt'));
  await copyFile(repositoryFile('demo', 'dict.txt'), join(work, 'dict.txt'));
  // Pieces of the same text follow each other closely, so that neighbours help although there are few.
  const text = await readFile(repositoryFile('demo', 'text', 'speeches.train.tokens'), 'utf8');
  const lines = text.split('\n');
  await writeFile(join(work, 'my.train.txt'), lines.slice(0, 200).join('\n') + '\n');
  await writeFile(join(work, 'my.valid.txt'), lines.slice(200, 210).join('\n') + '\n');
  await writeFile(join(work, 'my.test.txt'), lines.slice(210, 220).join('\n') + '\n');
  await mkdir(scripts, { recursive: true });
});

function runBash(code: string): string {
  const path = [repositoryFile('node_modules', '.bin'), process.env['PATH']].join(delimiter);
  const { status, stdout, stderr } = spawnSync('bash', ['-eo', 'pipefail', '-c', code], {
    cwd: work,
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
  });
  expect(status, `${code}\n${stdout}\n${stderr}`).toBe(0);
  return stdout;
}

async function runTypeScript(code: string, name: string): Promise<string> {
  const { outputText, diagnostics } = ts.transpileModule(code, {
    reportDiagnostics: true,
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
      verbatimModuleSyntax: true,
    },
  });
  expect(diagnostics).toEqual([]);
  const script = join(scripts, `${name}.mjs`);
  await writeFile(script, outputText);
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { cwd: work, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

describe('the guides', () => {
  it('adapt a model to your own text', async () => {
    const printed = blocks(await guide('adapt-a-model'), 'bash').map(runBash);
    expect(printed).toHaveLength(6);
    expect(printed[1]).toContain('evaluate test');
    const [alone, mixed] = [...printed[4].matchAll(/Perplexity: (\S+)/g)].map(([, number]) => Number(number));
    expect(mixed).toBeLessThan(alone);
    expect(printed[5]).toMatch(/gain \+\d/);
    expect(await readFile(join(work, 'report.html'), 'utf8')).toContain('</html>');
    const records = (await readFile(join(work, 'neighbors.jsonl'), 'utf8')).trimEnd().split('\n');
    expect(JSON.parse(records[0])).toMatchObject({ position: 0 });
    expect(printed[5]).toContain('The American people');
  });

  it('machine-readable output', async () => {
    const [first, failing, completing] = blocks(await guide('machine-readable-output'), 'bash').map(runBash);
    const [counted, perplexity] = first.trimEnd().split('\n');
    expect(JSON.parse(counted)).toMatchObject({ ok: true, command: 'count-tokens' });
    expect(Number(perplexity)).toBeGreaterThan(1);
    const [shown] = blocks(await guide('machine-readable-output'), 'json');
    const [failure, status] = failing.trimEnd().split('\n');
    expect(JSON.parse(failure)).toEqual(JSON.parse(shown));
    expect(status).toBe('status 1');
    expect(completing).toBe('complete -F _knn_lm eval_knn_lm\n');
  });

  it('use the packages from Node.js', async () => {
    const printed: string[] = [];
    for (const [i, code] of blocks(await guide('use-from-node'), 'ts').entries())
      printed.push(await runTypeScript(code, `node-${i}`));
    expect(printed[0]).toMatch(/^train 200 \d+\ntest 10 \d+\n$/);
    expect(Number(printed[1])).toBeGreaterThan(5000);
    expect(printed[2]).toBe('true\n');
    expect(printed[3]).toBe('read all bytes\ntrue\nDATASTORE_NOT_FOUND\n');
  });

  it('run on a Slurm cluster: written, then run by the local runner', async () => {
    const [planned, ran, again] = blocks(await guide('slurm'), 'bash').map(runBash);
    expect(planned).toContain('#SBATCH --array=0-1\n');
    expect(ran).toMatch(/│ reduce +│ +1 │ +1 │ +0 │ +0 │ +0 │/);
    expect(again.match(/is finished already/g)).toHaveLength(2);
  });

  it('choose an index: every command builds one', async () => {
    for (const code of blocks(await guide('choose-an-index'), 'bash')) runBash(code);
  });

  it.each(['wikitext-103'])('%s: too large to run, but every command line is understood', async (name) => {
    const lines = blocks(await guide(name), 'bash').flatMap((block) => block.trimEnd().split('\n'));
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) {
      const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare);
      const [program, ...args] = words[0] === 'knn-lm' ? words.slice(1) : words;
      const found = Object.entries(commands).find(
        ([command, about]) => command === program || about.program === program,
      );
      if (found === undefined) throw new Error(`no command ${program} in: ${line}`);
      const { commandLine } = await found[1].load();
      expect(parseArguments(commandLine, args).given.length, line).toBeGreaterThan(0);
    }
  });
});
