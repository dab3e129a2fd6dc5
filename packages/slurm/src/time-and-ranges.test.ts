import { describe, expect, it } from 'vitest';
import { arrayRanges } from './remaining.js';
import { slurmJob } from './slurm-job.js';
import { parseProgress, secondsLeft } from './time-left.js';

describe('arrayRanges', () => {
  it.each([
    [[], ''],
    [[3], '3'],
    [[0, 1, 2, 5, 7, 8], '0-2,5,7-8'],
  ])('%j', (shards, text) => {
    expect(arrayRanges(shards)).toBe(text);
  });
});

describe('slurmJob', () => {
  it('names a task of an array by array and number, never by its own job number', () => {
    const env = {
      SLURM_JOB_ID: '10',
      SLURM_ARRAY_JOB_ID: '10',
      SLURM_ARRAY_TASK_ID: '3',
      SLURM_RESTART_COUNT: '2',
    };
    expect(slurmJob(env)).toEqual({ id: '10_3', restarts: 2 });
    expect(slurmJob({ SLURM_JOB_ID: '11' })).toEqual({ id: '11', restarts: 0 });
    expect(slurmJob({})).toBeUndefined();
  });
});

describe('parseProgress', () => {
  it('reads share and time left', () => {
    expect(parseProgress('keys: 12,500 of 50,000 tokens (25 %), 2,500 tokens/s, 15 s left')).toEqual({
      share: 0.25,
      secondsLeft: 15,
    });
    expect(parseProgress('train: 3 of 12 iterations (25 %)')).toEqual({
      share: 0.25,
      secondsLeft: undefined,
    });
    expect(parseProgress('no numbers here')).toBeUndefined();
  });
});

describe('secondsLeft', () => {
  const half = 'keys: 50 of 100 tokens (50 %), 5 tokens/s, 10 s left';

  it('goes by finished tasks, and by progress before there are any', () => {
    expect(secondsLeft({ finished: [20, 40], running: [{ seconds: 10, line: undefined }], waiting: 2 })).toBe(
      80,
    );
    expect(secondsLeft({ finished: [], running: [{ seconds: 10, line: half }], waiting: 1 })).toBe(30);
  });

  it('does not guess', () => {
    expect(secondsLeft({ finished: [5], running: [], waiting: 3 })).toBeUndefined();
    expect(
      secondsLeft({ finished: [], running: [{ seconds: 9, line: undefined }], waiting: 0 }),
    ).toBeUndefined();
  });
});
