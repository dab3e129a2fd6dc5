import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { golden, newFile, newFolder } from '../../test/support/files.js';
import { zipFiles } from '../../test/support/torch-writer.js';
import { writePickle } from '../../test/support/pickle-writer.js';
import { CheckpointError } from '../errors.js';
import { openContainer } from './open-container.js';

function failure(path: string): CheckpointError {
  try {
    openContainer(path).file.close();
  } catch (error) {
    if (error instanceof CheckpointError) return error;
    throw error;
  }
  throw new Error('no error');
}

/** Where a byte pattern begins. */
function find(bytes: Buffer, pattern: string, from = 0): number {
  return bytes.indexOf(Buffer.from(pattern, 'latin1'), from);
}

describe('openContainer', () => {
  it('says what a file is that is no checkpoint', () => {
    const cases: [content: string | Uint8Array, code: string, message: RegExp][] = [
      ['', 'CHECKPOINT_EMPTY', /the file is empty \(0 bytes\)/],
      [
        'hello world',
        'CHECKPOINT_NOT_TORCH',
        /begins with "hello world" \(neither a zip archive nor a pickle\)/,
      ],
      ['BZh91AY', 'CHECKPOINT_NOT_TORCH', /a bzip2 archive/],
      [Buffer.from([0x1f, 0x8b, 8]), 'CHECKPOINT_NOT_TORCH', /a gzip archive/],
      ['<!doctype html>', 'CHECKPOINT_NOT_TORCH', /a web page/],
      ['version https://git-lfs.github.com/spec/v1', 'CHECKPOINT_NOT_TORCH', /a Git LFS pointer/],
      [`${'\0'.repeat(257)}ustar`, 'CHECKPOINT_NOT_TORCH', /a tar archive/],
      [writePickle(new Map()), 'CHECKPOINT_NOT_TORCH', /its magic number is a dict of 0/],
      [zipFiles([['a/b.txt', Buffer.from('x')]]), 'CHECKPOINT_NOT_TORCH', /without data\.pkl/],
    ];
    for (const [content, code, message] of cases) {
      const error = failure(newFile(content));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
      expect(error.hint).toBeDefined();
    }
  });

  it('names a missing file and a folder', () => {
    expect(failure(join(newFolder(), 'model.pt'))).toMatchObject({
      code: 'FILE_ENOENT',
      message: expect.stringMatching(/model\.pt: it does not exist/) as string,
    });
    expect(failure(newFolder()).code).toBe('FILE_EISDIR');
  });

  it('reads an archive with 64-bit fields throughout', () => {
    const data = writePickle(new Map([['model', 1]]));
    const storage = Buffer.from('12345678');
    const path = newFile(
      zipFiles(
        [
          ['x/data.pkl', data],
          ['x/data/0', storage],
        ],
        true,
      ),
    );
    const container = openContainer(path);
    expect(container.root).toEqual(new Map([['model', 1]]));
    expect(container.storages.get('0')).toMatchObject({ byteLength: 8 });
    container.file.close();
  });

  it('refuses the other byte order in both formats', () => {
    const pickle = writePickle(new Map());
    const zip = zipFiles([
      ['x/data.pkl', pickle],
      ['x/byteorder', Buffer.from('big')],
    ]);
    expect(failure(newFile(zip)).code).toBe('CHECKPOINT_BYTE_ORDER');
    const legacy = readFileSync(golden('model.legacy.inproj.pt'));
    legacy[find(legacy, '\x88X', 60)] = 0x89; // little_endian: True becomes False
    expect(failure(newFile(legacy)).code).toBe('CHECKPOINT_BYTE_ORDER');
  });

  it('refuses compressed archives', () => {
    const zip = readFileSync(golden('model.zip.pt'));
    zip[find(zip, 'PK\x01\x02') + 10] = 8;
    expect(failure(newFile(zip))).toMatchObject({ code: 'CHECKPOINT_ZIP_COMPRESSED' });
  });

  it('notices a changed bit in the pickle of an archive', () => {
    const zip = readFileSync(golden('model.zip.pt'));
    zip[find(zip, 'decoder_layers') + 3] ^= 1;
    expect(failure(newFile(zip))).toMatchObject({
      code: 'CHECKPOINT_CHECKSUM',
      message: expect.stringMatching(
        /the checksum of data\.pkl is [0-9a-f]{8}, but [0-9a-f]{8} is recorded/,
      ) as string,
    });
  });

  it('says where a cut file ends', () => {
    const zip = readFileSync(golden('model.zip.pt'));
    expect(failure(newFile(zip.subarray(0, 100_000))).code).toBe('CHECKPOINT_TRUNCATED');
    const legacy = readFileSync(golden('model.legacy.inproj.pt'));
    expect(failure(newFile(legacy.subarray(0, 100_000)))).toMatchObject({
      code: 'CHECKPOINT_TRUNCATED',
      message: expect.stringMatching(
        /storage \d+ of \d+ needs bytes \d+ to \d+, but the file has 100000/,
      ) as string,
    });
    expect(failure(newFile(legacy.subarray(0, 3_000))).code).toBe('PICKLE_TRUNCATED');
  });
});
