import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, readdir, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CancelledError } from '@knn-lm/common';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { preprocess } from './preprocess.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-faults-'));
const text = join(folder, 'a.txt');
const options = { onlySource: true, trainpref: text, validpref: text, leastBytesPerWorker: 1000 };
let whole: Map<string, Buffer>;

async function filesOf(destdir: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(destdir)).filter((name) => name !== 'preprocess.log').sort();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(destdir, name))] as const)),
  );
}

/** Everything in the folder is a whole file under its name. */
async function expectNothingHalf(destdir: string): Promise<void> {
  for (const [name, bytes] of await filesOf(destdir)) {
    expect([name, whole.get(name)?.equals(bytes)]).toEqual([name, true]);
  }
}

beforeAll(async () => {
  await writeFile(text, 'some words in a line\nand others\n\n'.repeat(3000));
  await preprocess({ ...options, destdir: join(folder, 'whole') });
  whole = await filesOf(join(folder, 'whole'));
});

afterEach(() => vi.restoreAllMocks());

describe('preprocess leaves no half-written file', () => {
  it.each([1, 3])('when it is stopped at any time, with %d threads', async (workers) => {
    let stopped = 0;
    // Turns of the event loop before the signal; more and more until one run ends by itself.
    for (let turns = 0, isDone = false; !isDone; turns = Math.ceil(turns * 1.7) + 1) {
      const destdir = join(folder, `stopped-${workers}-${turns}`);
      const controller = new AbortController();
      let left = turns;
      const wait = () => {
        if (left-- <= 0) controller.abort();
        else setImmediate(wait);
      };
      wait();
      const error: unknown = await preprocess({ ...options, destdir, workers }, controller).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      left = 0;
      isDone = error === undefined;
      if (!isDone) {
        stopped++;
        expect(error).toBeInstanceOf(CancelledError);
        const kept = await filesOf(destdir);
        const expected = kept.size === 0 ? 'nothing was written' : 'finished and whole';
        expect((error as CancelledError).message).toContain(expected);
      }
      await expectNothingHalf(destdir);
    }
    expect(stopped).toBeGreaterThan(3);
  });

  it('when any write, sync or cut of a file fails', async () => {
    const prototype = Object.getPrototypeOf(await openedOnce()) as FileHandle;
    const methods = prototype as unknown as Record<string, (...values: unknown[]) => Promise<unknown>>;
    let failures = 0;
    for (let failing = 0; ; failing++) {
      const destdir = join(folder, `failed-${failing}`);
      await mkdir(destdir);
      let calls = 0;
      for (const method of ['write', 'writeFile', 'sync', 'truncate'] as const) {
        const original = methods[method];
        vi.spyOn(prototype, method).mockImplementation(function (this: FileHandle, ...values: unknown[]) {
          const error = Object.assign(new Error('no space'), { code: 'ENOSPC' });
          return (calls++ === failing ? Promise.reject(error) : original.apply(this, values)) as never;
        });
      }
      const error: unknown = await preprocess({ ...options, destdir }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      vi.restoreAllMocks();
      await expectNothingHalf(destdir);
      if (error === undefined) break;
      failures++;
      expect(error).toMatchObject({
        code: 'FILE_ENOSPC',
        message: expect.stringContaining(destdir) as string,
        hint: expect.stringContaining('Free some space') as string,
      });
    }
    expect(failures).toBeGreaterThan(10);
  });

  it('when the disk is full', async (context) => {
    const disk = join(folder, 'disk');
    await mkdir(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk], { stdio: 'ignore' });
    } catch {
      context.skip('only root may mount a small disk');
    }
    try {
      // Needs 120 kB for the ids of a text beside its 60 kB of output.
      for (const filler of [0, 40_000, 80_000, 120_000, 160_000, 200_000, 240_000]) {
        await writeFile(join(disk, 'filler'), new Uint8Array(filler));
        const destdir = join(disk, 'out');
        const run = preprocess({ ...options, destdir, workers: 2 });
        const error: unknown = await run.then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (error !== undefined || filler > 200_000) expect(error).toMatchObject({ code: 'FILE_ENOSPC' });
        await expectNothingHalf(destdir);
        await rm(destdir, { recursive: true });
      }
    } finally {
      execFileSync('umount', [disk]);
    }
  });
});

async function openedOnce(): Promise<FileHandle> {
  const file = await open(text);
  await file.close();
  return file;
}
