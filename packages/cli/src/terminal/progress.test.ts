import { describe, expect, it } from 'vitest';
import { describeProgress, duration } from './progress.js';

describe('describeProgress', () => {
  it('gives count, share, rate and time left', () => {
    expect(describeProgress({ stage: 'keys', done: 12345, total: 367366, unit: 'tokens' }, 5432)).toBe(
      'keys: 12,345 of 367,366 tokens (3 %), 5,432 tokens/s, 65 s left',
    );
  });

  it('says less when less is known', () => {
    expect(describeProgress({ stage: 'read', done: 10, total: undefined, unit: 'lines' }, 0)).toBe(
      'read: 10 lines',
    );
  });
});

describe('duration', () => {
  it.each([
    [0.2, '0 s'],
    [89, '89 s'],
    [200, '3 min 20 s'],
    [7500, '2 h 05 min'],
    [273_600, '3 d 4 h'],
  ])('%s s', (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });
});
