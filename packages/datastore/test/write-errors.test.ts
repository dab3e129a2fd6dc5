import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Datastore, DatastoreWriter, readManifest, verifyDatastore } from '../src/index.js';
import { runAppender, type AppenderTask } from './support/appender.js';
import { bytesOf, keysF32, keysOf, newFolder, valuesOf } from './support/rows.js';

const dimension = 64;
const rows = 4000; // 1 MB of keys
const options = { rows, dimension, dtype: 'fp32', identity: {}, segmentRows: 500 } as const;

async function expectResumed(task: AppenderTask): Promise<void> {
  expect((await runAppender(task)).error).toBeUndefined();
  expect((await verifyDatastore(task.folder)).ok).toBe(true);
  expect(await readFile(join(task.folder, 'keys.npy'))).toEqual(bytesOf(keysF32(0, rows, dimension)));
}

describe('a disk that is full', () => {
  const mounted: string[] = [];
  afterEach(() => mounted.splice(0).forEach((folder) => execFileSync('umount', [folder])));

  it('fails with a typed error at every operation it can fail at, and what was committed stays', async () => {
    const small = { ...options, rows: 40, segmentRows: 16, dimension: 4 };
    const { operations } = await runAppender({ folder: await newFolder(), options: small, batch: 5 });
    const codes = new Set<string | undefined>();
    for (let at = 1; at <= operations!; at += 3) {
      const folder = await newFolder();
      const task: AppenderTask = { folder, options: small, batch: 5 };
      const fault = at % 2 === 0 ? 'ENOSPC' : 'EIO';
      const { error } = await runAppender({ ...task, fault, at });
      codes.add(error?.code);
      if (error !== undefined) expect(error.name).toBe('DatastoreError');
      const manifest = await readManifest(folder);
      const { error: again } = await runAppender(task);
      expect(again?.code).toBe(manifest?.finished ? 'DATASTORE_ALREADY_FINISHED' : undefined);
      expect((await verifyDatastore(folder)).ok).toBe(true);
    }
    expect(codes).toContain('DATASTORE_DISK_FULL');
    expect(codes).toContain('DATASTORE_WRITE_FAILED');
  });

  it('leaves the rows whole that a text is appended to, and the append resumes', async () => {
    const folder = await newFolder();
    const small = { ...options, rows: 30, segmentRows: 8, dimension: 4 };
    const writer = await DatastoreWriter.create(folder, small);
    await writer.append(keysOf(0, 30, 4, 'fp32'), valuesOf(0, 30));
    await writer.finish();
    await writer.close();
    const task = {
      folder,
      options: { ...small, rows: 20, identity: { split: 'more' } },
      batch: 5,
      first: 30,
    };
    for (const fault of ['ENOSPC', 'EIO'] as const) {
      const { error } = await runAppender({ ...task, fault, at: 18 });
      expect(error?.name).toBe('DatastoreError');
      const datastore = await Datastore.open(folder);
      expect(datastore.readKeys(0, 30)).toEqual(keysF32(0, 30, 4));
      datastore.close();
    }
    expect((await runAppender(task)).error).toBeUndefined();
    expect(await readFile(join(folder, 'keys.npy'))).toEqual(bytesOf(keysF32(0, 50, 4)));
    expect((await verifyDatastore(folder)).ok).toBe(true);
  });

  it('fails so when the limit on the size of a file is reached', async () => {
    const task: AppenderTask = { folder: await newFolder(), options, batch: 100 };
    const { error, committedRows } = await runAppender(task, { fileLimitKiB: 600 });
    expect(error).toMatchObject({ name: 'DatastoreError', code: 'DATASTORE_DISK_FULL' });
    expect(error?.message).toMatch(/EFBIG.*2400 of 4000 rows are committed and stay valid/);
    expect(error?.hint).toMatch(/run the same command again/);
    expect(committedRows).toBe(2400);
    expect(await readManifest(task.folder)).toMatchObject({ committedRows: 2400, finished: false });
    await expectResumed(task);
  });

  it('fails so on a small file system, and resumes when there is space', async ({ skip }) => {
    const folder = await newFolder();
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'none', folder], { stdio: 'ignore' });
    } catch {
      return skip('mounting needs root');
    }
    mounted.push(folder);
    const task: AppenderTask = { folder, options, batch: 100 };
    const { error } = await runAppender(task);
    expect(error).toMatchObject({ name: 'DatastoreError', code: 'DATASTORE_DISK_FULL' });
    const manifest = await readManifest(folder);
    expect(manifest?.committedRows).toBeGreaterThan(500);
    execFileSync('mount', ['-o', 'remount,size=4m', folder]);
    await expectResumed(task);
  });
});

describe('a folder that may not be written', () => {
  it('is a typed error for another user', async ({ skip }) => {
    const folder = await newFolder();
    await chmod(folder, 0o555);
    if (process.getuid?.() === 0) {
      execFileSync('chmod', ['755', folder]);
      const { error } = await runAppender({ folder, options, batch: 100 }, { uid: 65534 }).catch(() =>
        skip('the package cannot be read by another user here'),
      );
      expect(error).toMatchObject({ name: 'DatastoreError', code: 'DATASTORE_NOT_WRITABLE' });
    } else {
      await expect(DatastoreWriter.create(folder, options)).rejects.toMatchObject({
        name: 'DatastoreError',
        code: 'DATASTORE_NOT_WRITABLE',
      });
    }
    expect(await readdir(folder)).toEqual([]);
  });

  it('is a typed error when the path leads through a file', async () => {
    const file = join(await newFolder(), 'file');
    await writeFile(file, '');
    await expect(DatastoreWriter.create(join(file, 'datastore'), options)).rejects.toMatchObject({
      name: 'DatastoreError',
      message: expect.stringContaining(file) as string,
    });
  });

  it('is a typed error when an array is a folder', async () => {
    const folder = await newFolder();
    const writer = await DatastoreWriter.create(folder, options);
    await writer.close();
    execFileSync('rm', [join(folder, 'keys.npy')]);
    await mkdir(join(folder, 'keys.npy'));
    await expect(DatastoreWriter.create(folder, options)).rejects.toMatchObject({ name: 'DatastoreError' });
  });
});
