import { describe, expect, it } from 'vitest';
import { latestByTask, parseQueueLine, type QueuedTask } from './slurm-queue.js';
import { activityOf } from './slurm-state.js';

describe('parseQueueLine', () => {
  it.each([
    ['12|RUNNING|None|n1', { job: '12', tasks: [], state: 'RUNNING', reason: 'None', node: 'n1' }],
    ['12_4|RUNNING|None|n2', { job: '12', tasks: [4], state: 'RUNNING', reason: 'None', node: 'n2' }],
    [
      '12_[1-3,7%2]|PENDING|Dependency|',
      { job: '12', tasks: [1, 2, 3, 7], state: 'PENDING', reason: 'Dependency', node: '' },
    ],
    [
      '12_[0-6:2,9]|PENDING|Priority|',
      { job: '12', tasks: [0, 2, 4, 6, 9], state: 'PENDING', reason: 'Priority', node: '' },
    ],
    [
      '1_[3]|PENDING|ReqNodeNotAvail, UnavailableNodes:n1|',
      { job: '1', tasks: [3], state: 'PENDING', reason: 'ReqNodeNotAvail, UnavailableNodes:n1', node: '' },
    ],
    // sacct names who cancelled a job, and cuts long words with a plus.
    [
      '12_1|CANCELLED by 1000|None|n1',
      { job: '12', tasks: [1], state: 'CANCELLED', reason: 'None', node: 'n1' },
    ],
    ['12_1|TIMEOUT+', { job: '12', tasks: [1], state: 'TIMEOUT', reason: '', node: '' }],
    ['12_[1-99999999,2]|PENDING|x|', { job: '12', tasks: [2], state: 'PENDING', reason: 'x', node: '' }],
  ])('%s', (line, expected) => {
    expect(parseQueueLine(line)).toEqual(expected);
  });
});

describe('activityOf', () => {
  it.each([
    [
      'waiting',
      'PENDING CONFIGURING REQUEUED REQUEUE_HOLD REQUEUE_FED RESV_DEL_HOLD SPECIAL_EXIT SUSPENDED STOPPED',
    ],
    ['running', 'RUNNING RESIZING SIGNALING'],
    ['ending', 'COMPLETING STAGE_OUT'],
    [
      'ended',
      'BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT',
    ],
    ['waiting', 'A_STATE_OF_LATER_VERSIONS'],
  ])('%s: %s', (activity, states) => {
    for (const state of states.split(' ')) expect(activityOf(state), state).toBe(activity);
  });
});

describe('latestByTask', () => {
  const entry = (job: string, tasks: number[], state: string): QueuedTask => ({
    job,
    tasks,
    state,
    reason: 'None',
    node: '',
  });

  it('takes what is in the queue before what has ended, and of these the last', () => {
    const latest = latestByTask([
      entry('9', [0], 'NODE_FAIL'),
      entry('10', [0, 1], 'FAILED'),
      entry('8', [1], 'PENDING'),
      entry('10', [2], 'RUNNING'),
      entry('11', [2], 'CANCELLED'),
    ]);
    const found = [...latest].map(([task, { job, state }]) => `${task}: ${job} ${state}`);
    expect(found.sort()).toEqual(['0: 10 FAILED', '1: 8 PENDING', '2: 10 RUNNING']);
  });

  it('takes a job without an array for the first task', () => {
    expect([...latestByTask([entry('7', [], 'RUNNING')]).keys()]).toEqual([0]);
  });
});
