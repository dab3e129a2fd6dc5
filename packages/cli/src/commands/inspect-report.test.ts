import type { TokenRecord } from '@knn-lm/knn-lm';
import { describe, expect, it } from 'vitest';
import { widthOf } from '../terminal/fit.js';
import { describeRecord } from './inspect-report.js';

const neighbor = { row: 123456, distance: 12.5, share: 0.5, id: 7, word: 'word' };
const record: TokenRecord = {
  sentence: 3,
  token: 4,
  position: 105,
  id: 7,
  word: 'word',
  context: [
    '日本語の文',
    'with',
    'words',
    'of\u001b[2J',
    'two',
    'widths',
    'and',
    'very',
    'many',
    'of',
    'them',
  ],
  pLm: 0.25,
  pKnn: 0.5,
  p: 0.3,
  lambda: 0.2,
  gain: -0.26,
  neighbors: [
    {
      ...neighbor,
      place: { sentence: 1, token: 2, position: 30 },
      context: ['a', 'context', '漢字漢字漢字漢字'],
    },
    { ...neighbor, id: 8, word: 'another-and-a-very-long-one-that-is-no-word' },
  ],
};

describe('describeRecord', () => {
  it.each([40, 60, 80, 200])('is no wider than %i columns', (width) => {
    const lines = describeRecord(record, { width, colors: false }).split('\n');
    for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
    expect(lines.join('\n')).not.toContain('\u001b');
  });

  it('marks the neighbours with the right value, in colours only where they are wanted', () => {
    const plain = describeRecord(record, { width: 100, colors: false });
    const colored = describeRecord(record, { width: 100, colors: true });
    expect(colored).toContain('\u001b[32mword\u001b[0m');
    expect(colored).toContain('\u001b[31mgain -0.26 bits\u001b[0m');
    const codes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');
    expect(colored.replace(codes, '')).toBe(plain);
    expect(plain).toContain('p_LM 0.2500  p_kNN 0.5000  mixture 0.3000  lambda 0.200  gain -0.26 bits\n');
    expect(plain).toContain('row 123456');
  });
});
