import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Progress } from '@knn-lm/common';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  convertCheckpoint,
  openCheckpoint,
  openModelFolder,
  resolveModelFolder,
  type CheckpointError,
} from '../src/index.js';
import { golden, newFile, newFolder } from './support/files.js';
import { smallArchitecture, smallCheckpoint, smallSettings } from './support/small-model.js';
import { floatStorage, writeLegacy, writeZip } from './support/torch-writer.js';

async function failure(promise: Promise<unknown>): Promise<CheckpointError> {
  return promise.then(
    () => {
      throw new Error('no error');
    },
    (error: CheckpointError) => error,
  );
}

/** A copy of a golden checkpoint in a new folder. */
function copied(name = 'model.zip.pt'): string {
  const path = join(newFolder(), 'model.pt');
  copyFileSync(golden(name), path);
  return path;
}

function weightsIdentity(folder: string): string {
  const { ino, mtimeMs } = statSync(join(folder, 'weights.bin'));
  return `${ino} ${mtimeMs}`;
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('convertCheckpoint', () => {
  it('writes every tensor once, aligned, with its checksum', async () => {
    const folder = join(newFolder(), 'model');
    const model = await convertCheckpoint(golden('model.zip.pt'), folder);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'keys.onnx', 'score.onnx', 'weights.bin']);
    expect(model).toEqual(openModelFolder(folder));
    const bytes = readFileSync(join(folder, model.weightsFile));
    const checkpoint = await openCheckpoint(golden('model.zip.pt'));
    expect(model.architecture).toEqual(checkpoint.config);
    for (const [name, tensor] of checkpoint.tensors) {
      const { shape, byteOffset, byteLength, sha256 } = model.weights.get(name)!;
      const stored = bytes.subarray(byteOffset, byteOffset + byteLength);
      expect(shape).toEqual(tensor.shape);
      expect(byteOffset % 64).toBe(0);
      expect(stored.equals(Buffer.from(tensor.readFloat32().buffer))).toBe(true);
      expect(createHash('sha256').update(stored).digest('hex')).toBe(sha256);
      if (tensor.tiedTo !== undefined)
        expect(model.weights.get(tensor.tiedTo)).toEqual(model.weights.get(name));
    }
    const own = [...checkpoint.tensors.values()].filter(({ tiedTo }) => tiedTo === undefined);
    const parameters = own.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(model.parameters).toBe(parameters);
    expect(bytes.length).toBeLessThan(4 * parameters + 64 * own.length);
    checkpoint.close();
  });

  it('gives one fingerprint for one model, whatever the format and the longest input', async () => {
    const fingerprint = async (name: string, modelOverrides = {}): Promise<string> =>
      (await convertCheckpoint(golden(name), join(newFolder(), 'm'), { modelOverrides })).fingerprint;
    const zip = await fingerprint('model.zip.pt');
    expect(await fingerprint('model.legacy.inproj.pt')).toBe(zip);
    expect(await fingerprint('model.zip.pt', { max_target_positions: 512 })).toBe(zip);
    expect(await fingerprint('model.zip.fp16.pt')).not.toBe(zip);
    expect(await fingerprint('model.zip.pt', { no_scale_embedding: true })).not.toBe(zip);
  });

  it('reports progress to the last byte', async () => {
    const reports: Progress[] = [];
    await convertCheckpoint(golden('model.zip.pt'), join(newFolder(), 'm'), {
      onProgress: (progress) => reports.push(progress),
    });
    expect([...new Set(reports.map(({ stage }) => stage))]).toEqual(['checksum', 'verify', 'weights']);
    for (const stage of ['checksum', 'verify', 'weights']) {
      const last = reports.filter((report) => report.stage === stage).at(-1)!;
      expect(last.done).toBe(last.total);
    }
  });

  it.each(['checksum', 'verify', 'weights'])('leaves nothing when it is stopped at %s', async (stage) => {
    const parent = newFolder();
    const stop = new AbortController();
    const conversion = convertCheckpoint(golden('model.zip.pt'), join(parent, 'm'), {
      signal: stop.signal,
      onProgress: (progress) => {
        if (progress.stage === stage) stop.abort();
      },
    });
    expect(await failure(conversion)).toMatchObject({ code: 'CANCELLED' });
    expect(readdirSync(parent)).toEqual([]);
  });

  it('leaves nothing when the weights are damaged', async () => {
    const bytes = readFileSync(golden('model.zip.pt'));
    bytes[bytes.length >> 1] ^= 1;
    const parent = newFolder();
    expect(await failure(convertCheckpoint(newFile(bytes), join(parent, 'm')))).toMatchObject({
      code: 'CHECKPOINT_CHECKSUM',
      message: expect.stringMatching(/the checksum of decoder\..* \(storage \d+\)/) as string,
    });
    expect(readdirSync(parent)).toEqual([]);
  });

  it('refuses tied tensors with different elements, and stores equal ones once', async () => {
    const tied = { ...smallSettings, share_decoder_input_output_embed: true };
    const convert = async (elements: number[]) => {
      const { model, root, storages } = smallCheckpoint(tied, { ...smallArchitecture });
      storages.set(String([...model.keys()].indexOf('decoder.embed_tokens.weight')), floatStorage(elements));
      storages.set(
        String([...model.keys()].indexOf('decoder.output_projection.weight')),
        floatStorage([...Array(40).keys()]),
      );
      return convertCheckpoint(newFile(writeZip(root, storages)), join(newFolder(), 'm'));
    };
    const { weights } = await convert([...Array(40).keys()]);
    expect(weights.get('decoder.output_projection.weight')).toEqual(
      weights.get('decoder.embed_tokens.weight'),
    );
    expect(await failure(convert(Array<number>(40).fill(1)))).toMatchObject({ code: 'CHECKPOINT_TIED' });
  });

  it('never replaces a folder that holds something else', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'thesis.txt'), 'years of work');
    expect(await failure(convertCheckpoint(golden('model.zip.pt'), folder))).toMatchObject({
      code: 'MODEL_FOLDER_EXISTS',
      message: expect.stringContaining('thesis.txt') as string,
    });
    expect(readFileSync(join(folder, 'thesis.txt'), 'utf8')).toBe('years of work');
  });

  it('replaces a model folder, and cleans up after killed processes', async () => {
    const parent = newFolder();
    const folder = join(parent, 'm');
    const first = await convertCheckpoint(golden('model.zip.pt'), folder);
    const abandoned = join(parent, '.m.123.abcd.tmp');
    const recent = join(parent, '.m.124.abcd.tmp');
    mkdirSync(abandoned);
    mkdirSync(recent);
    utimesSync(abandoned, 0, 0);
    const second = await convertCheckpoint(golden('model.zip.fp16.pt'), folder);
    expect(second.fingerprint).not.toBe(first.fingerprint);
    expect(readdirSync(parent).sort()).toEqual(['.m.124.abcd.tmp', 'm']);
  });
});

describe('resolveModelFolder', () => {
  it('converts beside the checkpoint once, and takes a model folder as it is', async () => {
    const path = copied();
    const messages: string[] = [];
    const logger = { info: (message: string) => messages.push(message), warn() {} };
    const folder = await resolveModelFolder(path, { logger });
    expect(folder).toBe(`${path}.knn-lm`);
    expect(messages).toHaveLength(2);
    const identity = weightsIdentity(folder);
    expect(await resolveModelFolder(path, { logger })).toBe(folder);
    expect(await resolveModelFolder(folder, { logger })).toBe(folder);
    expect(messages).toHaveLength(2);
    expect(weightsIdentity(folder)).toBe(identity);
    expect(readdirSync(join(folder, '..'))).toEqual(['model.pt', 'model.pt.knn-lm']);
  });

  it('notices a changed checkpoint, also one of the same size', async () => {
    const path = copied();
    const folder = await resolveModelFolder(path);
    const before = openModelFolder(folder);
    const { root, storages } = smallCheckpoint();
    writeFileSync(path, writeLegacy(root, storages));
    expect(await resolveModelFolder(path)).toBe(folder);
    const small = openModelFolder(folder);
    expect(small.architecture).toEqual(smallArchitecture);
    expect(small.fingerprint).not.toBe(before.fingerprint);
    storages.set('1', floatStorage(Array<number>(40).fill(7)));
    writeFileSync(path, writeLegacy(root, storages));
    await resolveModelFolder(path);
    expect(openModelFolder(folder).fingerprint).not.toBe(small.fingerprint);
  });

  it('does not convert again what was only copied or touched', async () => {
    const path = copied();
    const folder = await resolveModelFolder(path);
    const identity = weightsIdentity(folder);
    utimesSync(path, 1000, 1000);
    const reports: Progress[] = [];
    const onProgress = (progress: Progress): void => void reports.push(progress);
    expect(await resolveModelFolder(path, { onProgress })).toBe(folder);
    expect(reports.length).toBeGreaterThan(0); // it was read once more
    reports.length = 0;
    expect(await resolveModelFolder(path, { onProgress })).toBe(folder);
    expect(reports).toEqual([]); // and its new time remembered
    expect(weightsIdentity(folder)).toBe(identity);
  });

  it('uses the cache when the folder of the checkpoint is read-only', async () => {
    const path = copied();
    const cache = newFolder();
    vi.stubEnv('XDG_CACHE_HOME', cache);
    chmodSync(join(path, '..'), 0o555);
    try {
      const folder = await resolveModelFolder(path);
      expect(folder.startsWith(join(cache, 'knn-lm', 'models', 'model.pt.'))).toBe(true);
      expect(await resolveModelFolder(path)).toBe(folder);
      expect(readdirSync(join(path, '..'))).toEqual(['model.pt']);
    } finally {
      chmodSync(join(path, '..'), 0o755);
    }
  });

  it('uses the cache that it is given, one folder for each checkpoint of the same name', async () => {
    const modelCache = join(newFolder(), 'new', 'cache');
    const [first, second] = [copied(), copied('model.zip.fp16.pt')];
    const folders = [
      await resolveModelFolder(first, { modelCache }),
      await resolveModelFolder(second, { modelCache }),
    ];
    expect(new Set(folders).size).toBe(2);
    expect(readdirSync(modelCache)).toHaveLength(2);
    expect(existsSync(`${first}.knn-lm`)).toBe(false);
  });

  it('keeps models with overrides apart', async () => {
    const path = copied();
    const plain = await resolveModelFolder(path);
    const modelOverrides = { tokens_per_sample: 512, max_target_positions: 512 };
    const other = await resolveModelFolder(path, { modelOverrides });
    expect(other).not.toBe(plain);
    expect(openModelFolder(other).architecture.maxPositions).toBe(512);
    expect(openModelFolder(plain).architecture.maxPositions).toBe(64);
    const reordered = { max_target_positions: 512, tokens_per_sample: 512 };
    expect(await resolveModelFolder(path, { modelOverrides: reordered })).toBe(other);
    expect(await resolveModelFolder(other, { modelOverrides })).toBe(other);
    expect((await failure(resolveModelFolder(plain, { modelOverrides }))).code).toBe(
      'MODEL_FOLDER_OVERRIDES',
    );
  });

  it('makes a damaged folder anew', async () => {
    const path = copied();
    const folder = await resolveModelFolder(path);
    const { fingerprint } = openModelFolder(folder);
    truncateSync(join(folder, 'weights.bin'), 1000);
    await resolveModelFolder(path);
    expect(openModelFolder(folder).fingerprint).toBe(fingerprint);
    writeFileSync(join(folder, 'config.json'), '{"format": "knn-lm mod');
    await resolveModelFolder(path);
    expect(openModelFolder(folder).fingerprint).toBe(fingerprint);
  });

  it('succeeds for all who convert the same checkpoint at once, the first time and after a change', async () => {
    const path = copied();
    for (const name of ['model.zip.pt', 'model.zip.fp16.pt', 'model.legacy.inproj.pt']) {
      copyFileSync(golden(name), path);
      const folders = await Promise.all(Array.from({ length: 6 }, () => resolveModelFolder(path)));
      expect(new Set(folders)).toEqual(new Set([`${path}.knn-lm`]));
      expect(openModelFolder(folders[0]).source.byteLength).toBe(statSync(path).size);
      expect(readdirSync(join(path, '..')).sort()).toEqual(['model.pt', 'model.pt.knn-lm']);
    }
  });

  it('names a missing checkpoint, and a folder that is no model folder', async () => {
    expect(await failure(resolveModelFolder(join(newFolder(), 'none.pt')))).toMatchObject({
      name: 'CheckpointError',
      code: 'FILE_ENOENT',
    });
    expect(await failure(resolveModelFolder(newFolder()))).toMatchObject({
      name: 'CheckpointError',
      message: expect.stringContaining('config.json') as string,
    });
  });
});

describe('openModelFolder', () => {
  /** A model folder whose config.json was changed. */
  async function changed(
    change: (config: Record<string, never>) => unknown,
  ): Promise<CheckpointError | undefined> {
    const folder = join(newFolder(), 'm');
    const { root, storages } = smallCheckpoint();
    await convertCheckpoint(newFile(writeZip(root, storages)), folder);
    const path = join(folder, 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, never>;
    writeFileSync(path, JSON.stringify(change(config) ?? config));
    try {
      openModelFolder(folder);
      return undefined;
    } catch (error) {
      return error as CheckpointError;
    }
  }

  it('checks config.json against itself and the weights file', async () => {
    type Change = (config: Record<string, Record<string, unknown>>) => unknown;
    const cases: [code: string, message: RegExp, change: Change][] = [
      ['MODEL_FOLDER_VERSION', /version 99/, (config) => ({ ...config, version: 99 })],
      ['MODEL_FOLDER_VERSION', /'other'/, (config) => ({ ...config, format: 'other' })],
      ['MODEL_FOLDER_CONFIG', /the file is \[\]/, () => []],
      [
        'MODEL_FOLDER_CONFIG',
        /architecture.layers is "1"/,
        ({ architecture }) => void (architecture['layers'] = '1'),
      ],
      ['MODEL_FOLDER_CONFIG', /1000000000 layers/, ({ architecture }) => void (architecture['layers'] = 1e9)],
      [
        'MODEL_FOLDER_CONFIG',
        /one of sinusoidal/,
        ({ architecture }) => void (architecture['positions'] = 'x'),
      ],
      [
        'MODEL_FOLDER_CONFIG',
        /fc1.weight has shape/,
        ({ architecture }) => void (architecture['ffnDim'] = 7),
      ],
      ['MODEL_FOLDER_CONFIG', /fingerprint is missing/, (config) => ({ ...config, fingerprint: undefined })],
      ['MODEL_FOLDER_CONFIG', /weights.file is "\.\.\/x"/, ({ weights }) => void (weights['file'] = '../x')],
      ['MODEL_FOLDER_CONFIG', /ends after/, ({ weights }) => void (weights['byteLength'] = 100)],
      [
        'MODEL_FOLDER_WEIGHTS',
        /but config.json says 1000000/,
        ({ weights }) => void (weights['byteLength'] = 1e6),
      ],
    ];
    for (const [code, message, change] of cases) {
      const error = await changed(change);
      expect(error).toMatchObject({ code, name: 'CheckpointError' });
      expect(error?.message).toMatch(message);
    }
    expect(await changed(() => undefined)).toBeUndefined();
  });
});
