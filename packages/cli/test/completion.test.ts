// The completion scripts, in the real shells where they are installed.
import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { commands } from '../src/commands/registry.js';
import { runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const has = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0;

beforeAll(async () => {
  await writeFile(join(work, 'model.pt'), '');
  await mkdir(join(work, 'data bin'));
  for (const shell of ['bash', 'zsh']) {
    const { stdout } = await runOk('knn-lm', ['completion', shell]);
    await writeFile(join(work, `completion.${shell}`), stdout);
  }
});

function shell(name: string, args: readonly string[], script: string): string {
  const { stdout, stderr } = spawnSync(name, [...args, '-c', script], {
    cwd: work,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(stderr).toBe('');
  return stdout;
}

/** What bash offers for the last of the words. */
function offered(...words: string[]): string[] {
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const script = `source completion.bash; COMP_WORDS=(${quoted}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _knn_lm; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return shell('bash', ['--norc'], script)
    .split('\n')
    .filter((word) => word !== '');
}

describe.skipIf(!has('bash'))('bash', () => {
  it('completes every program', () => {
    const programs = Object.values(commands).flatMap(({ program }) => program ?? []);
    const printed = shell('bash', ['--norc'], 'source completion.bash; complete -p');
    for (const program of ['knn-lm', ...programs])
      expect(printed).toContain(`complete -F _knn_lm ${program}\n`);
  });

  it('commands', () => {
    expect(offered('knn-lm', '')).toEqual([...Object.keys(commands), 'help', 'version']);
    expect(offered('knn-lm', 'gener')).toContain('generate-datastore');
  });

  it('options, of a program under either name', () => {
    expect(offered('eval_knn_lm', '--lambda')).toEqual(['--lambda-value']);
    expect(offered('/usr/bin/eval_knn_lm', '--lambda')).toEqual(['--lambda-value']);
    expect(offered('knn-lm', 'eval', '--lambda')).toEqual(['--lambda-value']);
    expect(offered('knn-lm', 'verify', '--js')).toEqual(['--json']);
  });

  it.each([
    ['one of some words', ['eval_knn_lm', '--device', ''], ['cpu', 'webgpu', 'cuda']],
    ['after =', ['eval_knn_lm', '--device', '=', 'w'], ['webgpu']],
    ['right after =', ['eval_knn_lm', '--keys-dtype', '='], ['fp16', 'fp32']],
    ['a number', ['eval_knn_lm', '--num-neighbors', ''], []],
    ['a file', ['eval_knn_lm', '--path', 'mod'], ['model.pt']],
    ['one of many', ['merge_datastore', '--datastore-list', 'a', 'b', 'dat'], ['data bin']],
    ['a positional argument', ['eval_knn_lm', '--quiet', 'da'], ['data bin']],
    ['after a value', ['eval_knn_lm', '--path=model.pt', 'da'], ['data bin']],
    ['a positional argument with choices', ['knn-lm', 'completion', ''], ['bash', 'zsh']],
  ])('%s', (_, words, expected) => {
    expect(offered(...words)).toEqual(expected);
  });
});

describe.skipIf(!has('zsh'))('zsh', () => {
  it('knows every program, and completes in a terminal', async () => {
    const setUp = 'autoload -Uz compinit; compinit -u -D; source ./completion.zsh;';
    expect(shell('zsh', ['-f'], `${setUp} print $_comps[knn-lm] $_comps[eval_knn_lm]`)).toBe(
      '_knn_lm _knn_lm\n',
    );
    // A terminal inside zsh, and a key that completes the line and prints it. Reading waits for what is expected.
    const session = `PS1=; cd '${work}'; ${setUp} show() { zle complete-word; print -r -- "$((6 * 7))<$BUFFER>" }; zle -N show; bindkey '^X' show; print ready$((6 * 7))`;
    await writeFile(join(work, 'session.zsh'), session);
    const script = `zmodload zsh/zpty; zpty -b z zsh -f -i; zpty -w z 'source ${join(work, 'session.zsh')}'
      zpty -r z out '*ready42*'
      for line in 'knn-lm generate-d' 'eval_knn_lm --lambda-v' 'knn-lm eval --device web'; do
        zpty -w -n z "$line"$'\\x18'; zpty -r z out '*42<*>*'; print -r -- "$out"; zpty -w -n z $'\\x15'
      done; zpty -d z`;
    const printed = shell('zsh', ['-f'], script);
    expect(printed).toContain('<knn-lm generate-datastore >');
    expect(printed).toContain('<eval_knn_lm --lambda-value >');
    expect(printed).toContain('<knn-lm eval --device webgpu >');
  });
});
