import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newFolder } from '../test/support/rows.js';
import { DatastoreError } from './error.js';
import { contentFingerprint } from './fingerprint.js';
import { encodeManifest, parseManifest, readManifest, type Manifest } from './manifest.js';

const digest = fc.stringMatching(/^[0-9a-f]{64}$/);
const manifests: fc.Arbitrary<Manifest> = fc
  .record({
    segmentRows: fc.integer({ min: 1, max: 2 ** 40 }),
    count: fc.integer({ min: 0, max: 5 }),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
    planned: fc.integer({ min: 1, max: 2 ** 20 }),
    dimension: fc.integer({ min: 1, max: 100 }),
    dtype: fc.constantFrom('fp16' as const, 'fp32' as const),
    identity: fc.dictionary(
      fc.string().filter((name) => !['rows', 'dimension', 'dtype', '__proto__'].includes(name)),
      fc.oneof(
        fc.string(),
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
        fc.boolean(),
      ),
    ),
    digests: fc.array(digest, { minLength: 10, maxLength: 10 }),
  })
  .map(({ segmentRows, count, part, planned, dimension, dtype, identity, digests }) => {
    const last = Math.max(1, Math.round(part * segmentRows));
    const committedRows = count === 0 ? 0 : (count - 1) * segmentRows + last;
    const segments = Array.from({ length: count }, (_, i) => ({
      rows: i === count - 1 ? last : segmentRows,
      keys: digests[i],
      values: digests[9 - i],
    }));
    const rows = committedRows + planned;
    const state = { finished: false, replacing: false };
    return { version: 1, rows, committedRows, dimension, dtype, ...state, identity, segmentRows, segments };
  });

const example = fc
  .sample(manifests, { numRuns: 200, seed: 3 })
  .find(({ segments, segmentRows }) => segments.length === 3 && segments[2].rows < segmentRows)!;

describe('the manifest', () => {
  it('survives the round trip', () => {
    fc.assert(
      fc.property(manifests, (manifest) => {
        expect(parseManifest(encodeManifest(manifest), 'x')).toEqual(manifest);
      }),
    );
  });

  it('does not survive the flip of any bit', () => {
    const bytes = encodeManifest(example);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Uint8Array.from(bytes);
      flipped[bit >> 3] ^= 1 << (bit & 7);
      expect(() => parseManifest(flipped, 'datastore.msgpack'), `bit ${bit}`).toThrow(DatastoreError);
    }
  });

  it('refuses arbitrary bytes and cut files with an error that names the file', () => {
    const bytes = encodeManifest(example);
    const cut = fc.integer({ min: 0, max: bytes.length - 1 }).map((length) => bytes.subarray(0, length));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), cut), (other) => {
        expect(() => parseManifest(other, 'folder/datastore.msgpack')).toThrow(/folder\/datastore\.msgpack/);
      }),
    );
  });

  it('refuses fields that contradict each other, although their checksum is right', () => {
    const wrong: [Partial<Record<keyof Manifest, unknown>>, RegExp][] = [
      [{ committedRows: example.rows + 1 }, /committedRows/],
      [{ finished: true }, /finished with/],
      [{ dimension: 2 ** 30 }, /dimension is 1073741824/],
      [{ dtype: 'bf16' }, /dtype is bf16/],
      [{ rows: 0 }, /rows is 0/],
      [{ segmentRows: 0 }, /segmentRows is 0/],
      [{ segments: example.segments.slice(1) }, /2 segments, not 3/],
      [{ segments: [...example.segments].reverse() }, /segment 0 has/],
      [{ segments: example.segments.map((segment) => ({ ...segment, keys: '' })) }, /no SHA-256/],
      [{ finished: 1 }, /finished is not a boolean/],
    ];
    for (const [change, message] of wrong) {
      const bytes = encodeManifest({ ...example, ...change } as Manifest);
      expect(() => parseManifest(bytes, 'x')).toThrow(message);
    }
  });

  it('tells of several texts, one being appended, parts and weights, and refuses them where they contradict', () => {
    const digest = 'ab'.repeat(32);
    const segment = (rows: number) => ({ rows, keys: digest, values: digest });
    const finished = { ...example, rows: 12, committedRows: 12, finished: true, segmentRows: 5, version: 2 };
    const text = (rows: number) => ({ rows, identity: { split: 'x' } });
    const appended: Manifest = {
      ...finished,
      ...{ segments: [5, 2, 5].map(segment), texts: [7, 5].map(text), weights: digest },
      appending: { ...text(9), committedRows: 6, segmentRows: 4, segments: [4, 2].map(segment) },
    };
    const part = (folder: string, rows: number) => ({ folder, rows, fingerprint: digest });
    const list: Manifest = { ...finished, segments: [], parts: [part('../a', 5), part('b', 7)] };
    for (const manifest of [appended, list])
      expect(parseManifest(encodeManifest(manifest), 'x')).toEqual(manifest);
    const appending = appended.appending!;
    const wrong: [Manifest, Partial<Record<keyof Manifest, unknown>>, RegExp][] = [
      [appended, { texts: [text(7)] }, /texts have 7 rows, not 12/],
      [appended, { texts: [] }, /texts is not a list/],
      [appended, { texts: undefined }, /segment 1 has 2 rows, not 5/],
      [appended, { segments: [5, 2].map(segment) }, /segments have 7 rows, not 12/],
      [appended, { weights: 'none' }, /weights is not/],
      [appended, { finished: false }, /appended to an unfinished datastore/],
      [appended, { appending: { ...appending, committedRows: 10 } }, /10 of 9 rows are appended/],
      [appended, { appending: { ...appending, segments: [segment(6)] } }, /1 segments, not 2/],
      [list, { parts: [part('../a', 5)] }, /parts have 5 rows, not 12/],
      [list, { parts: [part('', 12)] }, /a part has no folder/],
      [list, { parts: [{ ...part('a', 12), fingerprint: 'x' }] }, /the part a has no fingerprint/],
      [list, { segments: [segment(12)] }, /1 segments, not 0/],
    ];
    for (const [manifest, change, message] of wrong) {
      const bytes = encodeManifest({ ...manifest, ...change } as Manifest);
      expect(() => parseManifest(bytes, 'x'), message.source).toThrow(message);
    }
  });

  it('says so when it was written by a newer program', () => {
    const bytes = Buffer.from(encodeManifest(example));
    const at = bytes.indexOf('version') + 'version'.length;
    expect(bytes[at]).toBe(1);
    bytes[at] = 3;
    expect(() => parseManifest(bytes, 'x')).toThrow(
      expect.objectContaining({ code: 'DATASTORE_MANIFEST_VERSION' }),
    );
  });

  it('is read from a folder, is absent without a file, and is not read when it is huge or a folder', async () => {
    const folder = await newFolder();
    const path = join(folder, 'datastore.msgpack');
    expect(await readManifest(folder)).toBeUndefined();
    await writeFile(path, encodeManifest(example));
    expect(await readManifest(folder)).toEqual(example);
    await writeFile(path, new Uint8Array(5 * 2 ** 20));
    await expect(readManifest(folder)).rejects.toThrow(/has 5242880 bytes, a manifest has at most/);
    const other = await newFolder();
    await mkdir(join(other, 'datastore.msgpack'));
    await expect(readManifest(other)).rejects.toBeInstanceOf(DatastoreError);
    expect((await readFile(path)).length).toBe(5 * 2 ** 20);
  });

  it('gives equal content equal fingerprints, and other content others', () => {
    const other = { ...example, segments: example.segments.map((s) => ({ ...s, values: '0'.repeat(64) })) };
    const renamed = parseManifest(encodeManifest({ ...example, identity: {} }), 'x');
    expect(contentFingerprint(renamed)).toBe(contentFingerprint(example));
    expect(contentFingerprint(other)).not.toBe(contentFingerprint(example));
  });
});
