import { spawn } from 'node:child_process';
import { readFile, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { newFolder } from '../test/support/rows.js';
import { WriterLock } from './lock.js';
import { currentProcess } from './process-identity.js';

const locked = expect.objectContaining({ code: 'DATASTORE_LOCKED' }) as Error;

async function age(path: string, seconds: number): Promise<void> {
  const time = new Date(Date.now() - seconds * 1000);
  await utimes(path, time, time);
}

describe('the writer’s lock', () => {
  it('is held once, and given back', async () => {
    const folder = await newFolder();
    const lock = await WriterLock.acquire(folder);
    await lock.assertHeld();
    await expect(WriterLock.acquire(folder)).rejects.toThrow(
      new RegExp(`process ${process.pid} on .* is writing`),
    );
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
    await (await WriterLock.acquire(folder)).release();
  });

  it('is not held by a dead process, nor by a later one of the same number', async () => {
    const folder = await newFolder();
    const path = join(folder, 'datastore.lock');
    const child = spawn('true');
    const pid = child.pid!;
    await new Promise((resolve) => child.on('close', resolve));
    await writeFile(path, JSON.stringify({ ...currentProcess(), pid }));
    await (await WriterLock.acquire(folder)).release();
    await writeFile(path, JSON.stringify({ ...currentProcess(), started: '1' }));
    await (await WriterLock.acquire(folder)).release();
  });

  it('is held by a process on another machine until it is silent for five minutes', async () => {
    const folder = await newFolder();
    const path = join(folder, 'datastore.lock');
    await writeFile(path, JSON.stringify({ ...currentProcess(), scope: 'elsewhere', host: 'node17' }));
    await age(path, 100);
    await expect(WriterLock.acquire(folder)).rejects.toThrow(/on node17 is writing .* last seen 1\d\d s ago/);
    await age(path, 400);
    await (await WriterLock.acquire(folder)).release();
  });

  it('that cannot be read counts as held until it is old', async () => {
    const folder = await newFolder();
    const path = join(folder, 'datastore.lock');
    await writeFile(path, '');
    await expect(WriterLock.acquire(folder)).rejects.toThrow(locked);
    await age(path, 400);
    await (await WriterLock.acquire(folder)).release();
  });

  it('when stale, goes to exactly one of many', async () => {
    const stale = JSON.stringify({ ...currentProcess(), started: '1' });
    for (let round = 0; round < 20; round++) {
      const folder = await newFolder();
      await writeFile(join(folder, 'datastore.lock'), stale);
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => WriterLock.acquire(folder)));
      const won = tries.filter((result) => result.status === 'fulfilled');
      for (const lost of tries) if (lost.status === 'rejected') expect(lost.reason).toEqual(locked);
      expect(won.length).toBe(1);
      await won[0].value.assertHeld();
      await won[0].value.release();
      expect(await readdir(folder)).toEqual([]);
    }
  });

  it('when stale, is got after a process died in taking it over', async () => {
    const folder = await newFolder();
    const stale = JSON.stringify({ ...currentProcess(), started: '1' });
    await writeFile(join(folder, 'datastore.lock'), stale);
    await writeFile(join(folder, 'datastore.lock.takeover'), stale);
    await (await WriterLock.acquire(folder)).release();
    expect(await readdir(folder)).toEqual([]);
  });

  it('when stale, is got by one of many that find a dead takeover', async () => {
    const folder = await newFolder();
    const stale = JSON.stringify({ ...currentProcess(), started: '1' });
    for (let round = 0; round < 20; round++) {
      await writeFile(join(folder, 'datastore.lock'), stale);
      await writeFile(join(folder, 'datastore.lock.takeover'), stale);
      const tries = await Promise.allSettled(Array.from({ length: 6 }, () => WriterLock.acquire(folder)));
      const locks = tries.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
      const held = await Promise.allSettled(locks.map((lock) => lock.assertHeld()));
      expect(held.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1);
      for (const lock of locks) await lock.release();
      await (await WriterLock.acquire(folder)).release();
      expect(await readdir(folder)).toEqual([]);
    }
  });

  it('that was taken over is noticed, and not given back for the other', async () => {
    const folder = await newFolder();
    const path = join(folder, 'datastore.lock');
    const lock = await WriterLock.acquire(folder);
    await writeFile(path, 'other');
    await expect(lock.assertHeld()).rejects.toMatchObject({ code: 'DATASTORE_LOCK_LOST' });
    await lock.release();
    expect(await readFile(path, 'utf8')).toBe('other');
    expect((await stat(path)).size).toBe(5);
  });
});
