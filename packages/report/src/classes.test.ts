import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LinearHistogram } from './linear-histogram.js';
import { LogarithmicClasses } from './logarithmic-classes.js';
import type { TokenGroup } from './report-data.js';
import { WideningGroups } from './widening-groups.js';

const losses = fc.record({
  lmBits: fc.integer({ min: 0, max: 40 }),
  mixedBits: fc.integer({ min: 0, max: 40 }),
});

function total(groups: readonly TokenGroup[]) {
  const sum = (of: (group: TokenGroup) => number) => groups.reduce((all, group) => all + of(group), 0);
  return {
    tokens: sum((group) => group.tokens),
    lmBits: sum((group) => group.lmBits),
    mixedBits: sum((group) => group.mixedBits),
    helped: sum((group) => group.helped),
  };
}

function expected(list: readonly { lmBits: number; mixedBits: number }[]) {
  return {
    tokens: list.length,
    lmBits: list.reduce((sum, { lmBits }) => sum + lmBits, 0),
    mixedBits: list.reduce((sum, { mixedBits }) => sum + mixedBits, 0),
    helped: list.filter(({ lmBits, mixedBits }) => mixedBits < lmBits).length,
  };
}

describe('WideningGroups', () => {
  it('keeps every sum while its groups become wider, whatever the order', () => {
    const entries = fc.array(fc.tuple(fc.nat({ max: 10_000 }), losses), { minLength: 1 });
    fc.assert(
      fc.property(entries, fc.integer({ min: 1, max: 5 }), (list, merged) => {
        const groups = new WideningGroups(8);
        for (const [value, loss] of list) groups.add(value, loss);
        expect(groups.count).toBeLessThanOrEqual(8);
        const result = groups.groups((first, last) => `${first} ${last}`, merged);
        expect(total(result)).toEqual(expected(list.map(([, loss]) => loss)));
        for (const { label, tokens } of result) {
          const [first, last] = label.split(' ').map(Number);
          expect(list.filter(([value]) => value >= first && value <= last)).toHaveLength(tokens);
        }
      }),
    );
  });
});

describe('LogarithmicClasses', () => {
  const values = fc.oneof(fc.double({ min: 0, max: 1e30, noNaN: true }), fc.constant(-0.001));

  it('keeps every sum, in classes and in groups of equal size', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(values, losses), { minLength: 1 }), (list) => {
        const classes = new LogarithmicClasses();
        for (const [value, loss] of list) classes.add(value, loss);
        expect(total(classes.quantiles(10))).toEqual(expected(list.map(([, loss]) => loss)));
        const histogram = classes.histogram(40);
        expect(histogram.length).toBeLessThanOrEqual(40);
        expect(histogram.reduce((sum, { count }) => sum + count, 0)).toBe(list.length);
      }),
    );
  });

  it('makes ten groups of about the same size of evenly spread values', () => {
    const classes = new LogarithmicClasses();
    for (let i = 0; i < 10_000; i++) classes.add(2 ** (i / 1000), { lmBits: 1, mixedBits: 1 });
    const sizes = classes.quantiles(10).map(({ tokens }) => tokens);
    expect(sizes).toHaveLength(10);
    for (const size of sizes) expect(Math.abs(size - 1000)).toBeLessThanOrEqual(125);
  });
});

describe('LinearHistogram', () => {
  it('counts each value in the class that holds it', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -800, max: 1600 }), { minLength: 1 }), (integers) => {
        const list = integers.map((value) => value / 64);
        const histogram = new LinearHistogram(-8, 16, 96);
        list.forEach((value) => histogram.add(value));
        for (const { from, to, count } of histogram.bins()) {
          const inside = list.filter((value) => value >= (from ?? -Infinity) && value < (to ?? Infinity));
          expect(inside).toHaveLength(count);
        }
        expect(histogram.bins().reduce((sum, { count }) => sum + count, 0)).toBe(list.length);
      }),
    );
  });
});
