import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkFingerprints, readSettings, writeSettings, type SettingsFile } from './settings.js';

const file: SettingsFile = {
  settings: {
    k: 64,
    temperature: 12.5,
    lambda: { kind: 'nearest-distance', edges: [10.25], lambdas: [0.75, 0.125] },
    recomputeDistance: true,
    nprobe: 32,
    valueWeights: false,
  },
  fingerprints: { model: 'abc', datastore: 'def', dictionary: 'fed' },
  results: [{ split: 'valid', textFingerprint: 't', tokenCount: 10, perplexity: 5.5, lmPerplexity: 7.25 }],
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'knn-lm-settings-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('settings', () => {
  it.each([file, { ...file, settings: { ...file.settings, lambda: 0.25, nprobe: undefined } }])(
    'survive the round trip',
    async (content) => {
      const path = join(folder, 'settings.json');
      await writeSettings(path, content);
      expect(await readSettings(path)).toEqual(content);
    },
  );

  const content = JSON.parse(JSON.stringify({ format: 'knn-lm-settings', version: 1, ...file })) as object;
  const changed = (change: object) => JSON.stringify({ ...content, ...change });
  const withSetting = (change: object) => changed({ settings: { ...file.settings, ...change } });

  it.each([
    ['', 'SETTINGS_FORMAT'],
    ['{', 'SETTINGS_FORMAT'],
    ['[]', 'SETTINGS_FORMAT'],
    [changed({ format: 'x' }), 'SETTINGS_FORMAT'],
    [changed({ version: 2 }), 'SETTINGS_FORMAT'],
    [changed({ settings: null }), 'SETTINGS_FORMAT'],
    [changed({ fingerprints: { model: 5 } }), 'SETTINGS_FORMAT'],
    [withSetting({ lambda: 'much' }), 'SETTINGS_FORMAT'],
    [withSetting({ lambda: { kind: 'nearest-distance', edges: 3, lambdas: [1] } }), 'SETTINGS_FORMAT'],
    [withSetting({ recomputeDistance: 1 }), 'SETTINGS_FORMAT'],
    [withSetting({ nprobe: 0 }), 'SETTINGS_FORMAT'],
    [withSetting({ lambda: 1.5 }), 'LAMBDA_RANGE'],
    [withSetting({ lambda: { kind: 'nearest-distance', edges: [1], lambdas: [1, 2] } }), 'LAMBDA_RANGE'],
    [withSetting({ temperature: 0 }), 'TEMPERATURE_RANGE'],
    [withSetting({ k: 0.5 }), 'NEIGHBORS_RANGE'],
    [' '.repeat(2 ** 21), 'SETTINGS_FORMAT'],
  ])('refuse a file that is none: %.80s', async (text, code) => {
    const path = join(folder, 'wrong.json');
    await writeFile(path, text);
    await expect(readSettings(path)).rejects.toMatchObject({ code });
  });

  it('say which file is missing', async () => {
    await expect(readSettings(join(folder, 'missing.json'))).rejects.toMatchObject({
      code: 'FILE_ENOENT',
      message: expect.stringContaining('missing.json') as string,
    });
  });

  it('are refused by another model or datastore, with both fingerprints', () => {
    checkFingerprints('s.json', file, { ...file.fingerprints, index: 'not known in the file' });
    checkFingerprints('s.json', file, { model: 'abc' });
    expect(() => checkFingerprints('s.json', file, { ...file.fingerprints, datastore: 'xyz' })).toThrow(
      expect.objectContaining({
        code: 'SETTINGS_MISMATCH',
        message: expect.stringMatching(/another datastore: def; .* xyz/) as string,
      }),
    );
  });
});
