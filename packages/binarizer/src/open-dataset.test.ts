import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openDataBin, openDataset } from './open-dataset.js';
import { preprocess } from './preprocess.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-data-bin-'));
const dataBin = join(folder, 'data-bin');

beforeAll(async () => {
  const trainpref = join(folder, 'train.txt');
  await writeFile(trainpref, 'a b\n\nb c\n');
  await preprocess({ onlySource: true, trainpref, validpref: `${trainpref},${trainpref}`, destdir: dataBin });
  await preprocess({ onlySource: true, trainpref, datasetImpl: 'raw', destdir: join(folder, 'raw') });
});

describe('openDataBin', () => {
  it('opens dictionary and split, of the first folder in a list', async () => {
    const { dictionary, dataset, prefix } = await openDataBin(`${dataBin}:/nowhere`, 'valid1');
    expect(prefix).toBe(join(dataBin, 'valid1'));
    expect(Array.from({ length: 3 }, (_, i) => dictionary.decode(dataset.sentence(i)))).toEqual([
      'a b </s>',
      '</s>',
      'b c </s>',
    ]);
  });

  it('finds what preprocessing wrote as raw text', async () => {
    const { dataset } = await openDataBin(join(folder, 'raw'), 'train');
    expect([...dataset.sizes]).toEqual([3, 1, 3]);
    expect(dataset.fingerprint).toBe((await openDataBin(dataBin, 'train')).dataset.fingerprint);
  });

  it('lists the splits that are there', async () => {
    await expect(openDataBin(dataBin, 'tset')).rejects.toMatchObject({
      code: 'DATASET_NOT_FOUND',
      message: expect.stringContaining('Dataset not found: tset') as string,
      hint: expect.stringContaining('train, valid, valid1') as string,
    });
  });

  it('tells a missing folder from a folder without dictionary', async () => {
    await expect(openDataBin(join(folder, 'none'), 'test')).rejects.toMatchObject({
      code: 'DATA_BIN_NOT_FOUND',
      message: expect.stringContaining('no such folder') as string,
    });
    await expect(openDataBin(folder, 'test')).rejects.toMatchObject({
      code: 'DATA_BIN_NOT_FOUND',
      message: expect.stringContaining('no dict.txt') as string,
    });
  });
});

describe('openDataset', () => {
  it('needs a dictionary for text', async () => {
    await expect(openDataset(join(folder, 'train.txt'))).rejects.toMatchObject({ code: 'DICTIONARY_NEEDED' });
  });

  it('says which of the two files is missing', async () => {
    await mkdir(join(folder, 'half'));
    await writeFile(join(folder, 'half', 'test.idx'), '');
    await expect(openDataset(join(folder, 'half', 'test'))).rejects.toMatchObject({
      code: 'DATASET_NOT_FOUND',
      message: expect.stringContaining('test.bin') as string,
    });
    await expect(openDataset(join(folder, 'x', 'test'), { impl: 'raw' })).rejects.toMatchObject({
      hint: expect.stringContaining('no folder') as string,
    });
  });

  it('names what an index begins with when it is none', async () => {
    await writeFile(join(folder, 'half', 'test.bin'), '');
    await writeFile(join(folder, 'half', 'test.idx'), 'HUFFIDX\0\0');
    await expect(openDataset(join(folder, 'half', 'test'))).rejects.toMatchObject({
      code: 'IDX_MAGIC',
      message: expect.stringContaining('Huffman') as string,
    });
  });
});
