import fc from 'fast-check';
import { expect, it } from 'vitest';
import { OutputBuffers } from './output-buffers.js';

it('never lends a buffer twice, and makes new ones only when none that waits is large enough', () => {
  const steps = fc.array(fc.record({ bytes: fc.integer({ min: 0, max: 400_000 }), giveBack: fc.nat() }));
  const check = fc.property(steps, (all) => {
    const buffers = new OutputBuffers();
    const known = new Set<ArrayBuffer>();
    const lent: ArrayBuffer[] = [];
    for (const { bytes, giveBack } of all) {
      const waiting = [...known].filter((buffer) => !lent.includes(buffer));
      const buffer = buffers.take(bytes);
      expect(buffer.byteLength).toBeGreaterThanOrEqual(bytes);
      expect(lent).not.toContain(buffer);
      expect(known.has(buffer)).toBe(waiting.some(({ byteLength }) => byteLength >= bytes));
      known.add(buffer);
      lent.push(buffer);
      if (giveBack % 2 === 0) buffers.give(lent.splice(giveBack % lent.length, 1)[0]);
    }
  });
  fc.assert(check, { numRuns: 200 });
});

it('does not keep what others made', () => {
  const buffers = new OutputBuffers();
  const foreign = new ArrayBuffer(100_000);
  buffers.give(foreign);
  expect(buffers.take(10)).not.toBe(foreign);
});
