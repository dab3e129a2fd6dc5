import { spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { repositoryFile } from '@knn-lm/testing';
import { DatastoreWriter, verifyDatastore } from '../src/index.js';
import { runAppender, type AppenderTask } from './support/appender.js';
import { keysOf, newFolder, valuesOf } from './support/rows.js';

const packageFolder = fileURLToPath(new URL('..', import.meta.url));

async function make(rows: number, dimension: number): Promise<string> {
  const folder = await newFolder();
  const writer = await DatastoreWriter.create(folder, { rows, dimension, dtype: 'fp16', identity: {} });
  await writer.append(keysOf(0, rows, dimension, 'fp16'), valuesOf(0, rows));
  await writer.finish();
  await writer.close();
  return folder;
}

describe('several processes', () => {
  it('that write the same datastore: one does, the others say who', async () => {
    const options = { rows: 60, dimension: 4, dtype: 'fp32', identity: {} } as const;
    const task: AppenderTask = { folder: await newFolder(), options, batch: 1, pauseMs: 10 };
    const results = await Promise.all([runAppender(task), runAppender(task), runAppender(task)]);
    const codes = results.map(({ error }) => error?.code);
    // A process that starts late on a busy machine may find the datastore finished already.
    expect(codes.filter((code) => code === undefined)).toHaveLength(1);
    for (const { error } of results.filter((result) => result.error !== undefined)) {
      expect(['DATASTORE_LOCKED', 'DATASTORE_ALREADY_FINISHED']).toContain(error!.code);
      if (error!.code === 'DATASTORE_LOCKED') expect(error!.message).toMatch(/is writing this datastore/);
    }
    expect((await verifyDatastore(task.folder)).ok).toBe(true);
  });
});

describe('a process that ends its worker threads, or itself, during a computation', () => {
  it('lives on', async () => {
    const script = join(packageFolder, 'test', 'support', 'terminate.mjs');
    const result = spawnSync(process.execPath, [script, await make(4000, 256)], { encoding: 'utf8' });
    expect(result).toMatchObject({ status: 0, signal: null, stdout: 'alive\n', stderr: '' });
  });
});

describe('a copy of the package without its addon', () => {
  it('uses the portable engine, and says why not the native one when asked for it', async () => {
    const copy = join(await newFolder(), 'datastore');
    await mkdir(copy);
    await cp(join(packageFolder, 'dist'), join(copy, 'dist'), { recursive: true });
    await cp(join(packageFolder, 'package.json'), join(copy, 'package.json'));
    await symlink(repositoryFile('node_modules'), join(copy, 'node_modules'));
    const program = `
      import { Datastore } from ${JSON.stringify(join(copy, 'dist', 'index.js'))};
      const folder = ${JSON.stringify(await make(50, 8))};
      const datastore = await Datastore.open(folder);
      const distances = await datastore.squaredDistances(datastore.readKeys(0, 1), new Float64Array([0, 7]), 2);
      const refused = await Datastore.open(folder, { engine: 'native' }).catch((error) => error);
      console.log(JSON.stringify([datastore.engine, datastore.kernels, [...distances], refused.code, refused.message]));
    `;
    const result = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
    expect(result.stderr).toBe('');
    const [engine, kernels, distances, code, message] = JSON.parse(result.stdout) as unknown[];
    expect([engine, kernels, code]).toEqual(['portable', ['typescript'], 'DATASTORE_NO_ADDON']);
    expect((distances as number[])[0]).toBe(0);
    expect((distances as number[])[1]).toBeGreaterThan(0);
    expect(message).toMatch(/native engine cannot be loaded: .*mapped-matrix\.node/);
    expect(JSON.parse(await readFile(join(copy, 'package.json'), 'utf8'))).toMatchObject({
      name: '@knn-lm/datastore',
    });
  });
});
