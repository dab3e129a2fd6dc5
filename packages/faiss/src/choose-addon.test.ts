import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chooseAddon } from './choose-addon.js';
import { faissInfo } from './faiss-info.js';

const both = mkdtempSync(join(tmpdir(), 'knn-lm-addons-'));
for (const name of ['faiss.node', 'faiss-avx2.node']) writeFileSync(join(both, name), '');
const processor = (flags: string) => () => `processor\t: 0\nflags\t\t: fpu ${flags} sse2\nbugs\t: none\n`;
const fast = processor('avx avx2 fma f16c popcnt');

describe('chooseAddon', () => {
  it('takes the one with AVX2 where the processor has it', () => {
    expect(chooseAddon(both, { environment: {}, readProcessorInfo: fast })).toBe(
      join(both, 'faiss-avx2.node'),
    );
  });

  it.each(['avx fma f16c popcnt', 'avx avx2 f16c popcnt', 'avx avx2 fma popcnt', ''])(
    'does not where it has only: %s',
    (flags) => {
      const surroundings = { environment: {}, readProcessorInfo: processor(flags) };
      expect(chooseAddon(both, surroundings)).toBe(join(both, 'faiss.node'));
    },
  );

  it('does not where nothing is known of the processor', () => {
    const readProcessorInfo = (): string => {
      throw new Error('no /proc');
    };
    expect(chooseAddon(both, { environment: {}, readProcessorInfo })).toBe(join(both, 'faiss.node'));
  });

  it('does not when told to use Debian’s, or where it was not built', () => {
    const environment = { KNN_LM_FAISS: 'debian' };
    expect(chooseAddon(both, { environment, readProcessorInfo: fast })).toBe(join(both, 'faiss.node'));
    const one = mkdtempSync(join(tmpdir(), 'knn-lm-addons-'));
    expect(chooseAddon(one, { environment: {}, readProcessorInfo: fast })).toBe(join(one, 'faiss.node'));
  });
});

describe('faissInfo', () => {
  it('says which Faiss this is', () => {
    const { version, optimization, openBlas } = faissInfo();
    expect(version).toMatch(/^1\.\d+\.\d+$/);
    expect(['avx2', 'generic']).toContain(optimization);
    if (openBlas !== undefined) expect(openBlas).toMatch(/^OpenBLAS \d/);
  });
});
