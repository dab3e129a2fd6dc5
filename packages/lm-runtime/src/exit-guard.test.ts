import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { repositoryFile } from '@knn-lm/testing';
import { createRunFlags, guardAtExit, markIdle, runGuarded } from './exit-guard.js';

/** Ends the process while the model runs, and while further sessions are opened. */
const script = `
  import { LanguageModel } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
  const [checkpoint, modelCache, delay] = process.argv.slice(1);
  const model = await LanguageModel.open(checkpoint, { purpose: 'score', modelCache, threads: 2 });
  const tokens = new Int32Array(64 * 512).fill(5);
  const positions = Int32Array.from(tokens.keys());
  for (let i = 0; i < 4; i++) void model.run({ rows: 64, width: 512, tokens, targets: tokens, positions });
  setTimeout(() => process.exit(3), Number(delay));
`;

describe('an exit while the model runs', () => {
  it.each([0, 30, 150, 400])('ends with the status that was asked for (after %i ms)', async (delay) => {
    const checkpoint = repositoryFile('packages/lm-runtime/test/golden/h_wiki103_arch/model.zip.pt');
    const modelCache = await mkdtemp(join(tmpdir(), 'knn-lm-exit-'));
    const args = ['--input-type=module', '--eval', script, checkpoint, modelCache, String(delay)];
    const run = promisify(execFile)(process.execPath, args, { cwd: repositoryFile('packages/lm-runtime') });
    await expect(run).rejects.toMatchObject({ code: 3, stderr: '' });
  });
});

describe('runGuarded', () => {
  it('runs nothing once the process is about to exit', async () => {
    const flags = createRunFlags();
    markIdle(flags);
    const unguard = guardAtExit(flags);
    expect(await runGuarded(flags, () => Promise.resolve(5))).toBe(5);
    const [listener] = process.listeners('exit').slice(-1);
    listener(0);
    expect(await runGuarded(flags, () => Promise.resolve(5))).toBeUndefined();
    unguard();
    expect(process.listeners('exit')).not.toContain(listener);
  });

  it('says that it is idle when the run fails', async () => {
    const flags = createRunFlags();
    await expect(runGuarded(flags, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(flags[0]).toBe(0);
  });
});
