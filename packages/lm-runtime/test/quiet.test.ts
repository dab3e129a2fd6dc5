import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { convertCheckpoint, ensureInt8Weights } from '@knn-lm/checkpoint';
import { repositoryFile } from '@knn-lm/testing';
import { exportPath } from './exports/read-export.js';

/** Names, sizes and times of everything in a folder. */
async function contentOf(folder: string): Promise<string[]> {
  const names = (await readdir(folder, { recursive: true })).sort();
  return Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs } = await stat(join(folder, name));
      return `${name} ${size} ${mtimeMs}`;
    }),
  );
}

describe.skipIf(process.platform !== 'linux')('running a model', () => {
  it('opens no connection, and writes nothing: not beside the model, not in the home, cache or temporary folder', async () => {
    const work = await mkdtemp(join(tmpdir(), 'knn-lm-quiet-'));
    const models = join(work, 'models');
    const home = join(work, 'home');
    const temporary = join(work, 'temporary');
    for (const folder of [models, home, temporary]) await mkdir(folder);
    const golden = repositoryFile(
      'packages',
      'lm-runtime',
      'test',
      'golden',
      'h_wiki103_arch',
      'model.zip.pt',
    );
    const model = await convertCheckpoint(golden, join(models, 'model.knn-lm'));
    await ensureInt8Weights(model);
    const onnx = join(models, 'model.onnx');
    await cp(exportPath('llama.past.opset17'), onnx);
    const before = await contentOf(models);

    const child = repositoryFile('packages', 'lm-runtime', 'test', 'quiet-child.mjs');
    const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'], HOME: home, TMPDIR: temporary };
    for (const name of ['XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'XDG_STATE_HOME'])
      env[name] = home;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [child, model.folder, onnx], {
      env,
      cwd: temporary,
    });

    expect(JSON.parse(stdout)).toEqual({ sockets: [], telemetry: '1' });
    expect(stderr).toBe('');
    expect(await contentOf(models)).toEqual(before);
    expect(await readdir(home)).toEqual([]);
    expect(await readdir(temporary)).toEqual([]);
  });
});
