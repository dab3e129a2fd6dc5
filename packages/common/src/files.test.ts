import { mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RandomAccessFile, describeFileError, writeFileAtomic } from './files.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-files-'));

describe('writeFileAtomic', () => {
  it('leaves the old file and no temporary one when writing fails', async () => {
    const path = join(folder, 'kept.txt');
    await writeFileAtomic(path, 'old');
    await expect(
      writeFileAtomic(path, async (file) => {
        await file.writeFile('half of the n');
        throw new Error('disk on fire');
      }),
    ).rejects.toThrow('disk on fire');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['kept.txt']);
  });
});

describe('RandomAccessFile', () => {
  it('refuses to read past the end before allocating', async () => {
    const path = join(folder, 'short.bin');
    await writeFile(path, new Uint8Array(10));
    const file = new RandomAccessFile(path);
    expect(() => file.readBytes(4, 2 ** 52)).toThrow(expect.objectContaining({ code: 'FILE_TRUNCATED' }));
    expect(file.readBytes(4, 6)).toHaveLength(6);
    file.close();
  });

  it('names the file when it is missing or a folder', () => {
    expect(() => new RandomAccessFile(join(folder, 'none'), 'read the index')).toThrow(
      /cannot read the index: .*none: it does not exist/,
    );
    expect(() => new RandomAccessFile(folder)).toThrow(expect.objectContaining({ code: 'FILE_EISDIR' }));
  });
});

describe('describeFileError', () => {
  it('leaves other errors alone', () => {
    const error = new TypeError('no');
    expect(describeFileError(error, 'x', 'read')).toBe(error);
  });
});
