import { describe, expect, it } from 'vitest';
import type { SlurmError } from './errors.js';
import { planRun } from './plan.js';
import { checkRecipe, withSettings } from './recipe.js';
import { checkSite } from './site.js';

const place = { source: 'recipe.json', folder: '/data' };
const smallest = { data: 'data-bin', model: 'model.onnx' };

function mistakes(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as SlurmError).message;
  }
  throw new Error('it was accepted');
}

describe('checkRecipe', () => {
  it('fills in defaults and makes paths absolute', () => {
    const recipe = checkRecipe(smallest, place);
    expect(recipe).toMatchObject({
      data: '/data/data-bin',
      model: '/data/model.onnx',
      name: 'knn-lm',
      stages: {},
    });
    expect(planRun(recipe, '/w').stages.map(({ name }) => name)).toEqual([
      'generate',
      'train',
      'evaluate',
      'reduce',
    ]);
  });

  it('reports every mistake at once, with the nearest key', () => {
    const text = mistakes(() =>
      checkRecipe(
        { dat: 'x', model: 3, stages: { generat: {}, evaluate: { tasks: 'four', flag: '' } } },
        place,
      ),
    );
    for (const part of [
      'dat: unknown key; did you mean data?',
      'data is missing',
      'model is 3; expected text of one line',
      'stages.generat: unknown key; did you mean generate?',
      'stages.evaluate.tasks is "four"; expected a whole number from 1 to 10000',
      'stages.evaluate.flag: unknown key; did you mean flags?',
    ]) {
      expect(text).toContain(part);
    }
  });

  it.each([
    [{ ...smallest, stages: { merge: { tasks: 3 } } }, 'stages.merge.tasks is 3; this stage is one task'],
    [{ ...smallest, stages: { train: { flags: "--x 'open" } } }, 'quotes closed'],
    [{ ...smallest, name: 'a b' }, 'name is "a b"'],
    [{ ...smallest, data: { valid: 'v' } }, 'data.train is missing'],
    [[], 'the file is []; expected an object'],
    [{ ...smallest, model: 'a\nb' }, 'expected text of one line'],
  ])('refuses %j', (value, expected) => {
    expect(mistakes(() => checkRecipe(value, place))).toContain(expected);
  });

  it('refuses flags that the plan sets', () => {
    const recipe = checkRecipe({ ...smallest, stages: { evaluate: { flags: '--datastore=x' } } }, place);
    expect(mistakes(() => planRun(recipe, '/w'))).toContain(
      'stages.evaluate.flags: --datastore=x is set by the plan',
    );
  });

  it('takes settings of the command line', () => {
    const value = withSettings(smallest, [
      'stages.generate.tasks=3',
      'stages.evaluate.flags=--num-neighbors 8',
      'linkShards=false',
    ]);
    const recipe = checkRecipe(value, place);
    expect(recipe.stages.generate?.tasks).toBe(3);
    expect(recipe.stages.evaluate?.flags).toEqual(['--num-neighbors', '8']);
    expect(recipe.linkShards).toBe(false);
    expect(mistakes(() => withSettings({}, ['novalue']))).toContain('expected KEY=VALUE');
  });
});

describe('checkSite', () => {
  it('takes nothing at all', () => {
    expect(checkSite({}, 'site.json')).toMatchObject({
      modules: [],
      setup: [],
      warningSeconds: 120,
      retries: 2,
    });
  });

  it.each(['3', '2:01', '0:02:01', '1-0', '1-00:00:00'])('takes a time limit of %s', (time) => {
    expect(checkSite({ time }, 'site.json').time).toBe(time);
  });

  it.each([
    [{ partion: 'p' }, 'partion: unknown key; did you mean partition?'],
    [{ time: 'an hour' }, 'time is "an hour"; expected minutes, HH:MM:SS or D-HH:MM:SS'],
    [{ memory: '16 GB' }, 'expected a size such as 16G'],
    [{ stages: { train: { cpu: 3 } } }, 'stages.train.cpu: unknown key; did you mean cpus?'],
    [{ time: '2' }, 'time is 2, and no more than warningSeconds (120)'],
    [{ time: '1-0', stages: { add: { time: '1:30' } } }, 'stages.add.time is 1:30, and no more than'],
    [{ time: '0:02:00', warningSeconds: 120 }, 'time is 0:02:00, and no more than'],
    [{ modules: 'nodejs' }, 'modules is "nodejs"; expected a list of texts'],
  ])('refuses %j', (value, expected) => {
    expect(mistakes(() => checkSite(value, 'site.json'))).toContain(expected);
  });
});

describe('fingerprints', () => {
  const fingerprints = (value: object) =>
    Object.fromEntries(
      planRun(checkRecipe({ ...smallest, ...value }, place), '/w').stages.map((s) => [s.name, s.fingerprint]),
    );

  it('change for a stage and those after it', () => {
    const before = fingerprints({});
    const after = fingerprints({ stages: { train: { flags: '--ncentroids 8' } } });
    expect(after['generate']).toBe(before['generate']);
    expect(after['train']).not.toBe(before['train']);
    expect(after['reduce']).not.toBe(before['reduce']);
  });
});
