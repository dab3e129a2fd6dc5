import { describe, expect, it } from 'vitest';
import { encodeModel } from './encode-model.js';
import type { OnnxModel } from './model.js';

/** Fields of a message by number, read independently of the writer: integers and byte strings. */
function parseMessage(bytes: Uint8Array): Map<number, (bigint | Uint8Array)[]> {
  const fields = new Map<number, (bigint | Uint8Array)[]>();
  let offset = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[offset++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
  };
  const take = (length: number): Uint8Array => bytes.subarray(offset, (offset += length));
  while (offset < bytes.length) {
    const tag = Number(varint());
    const wireType = tag & 7;
    const value = wireType === 0 ? varint() : take(wireType === 5 ? 4 : Number(varint()));
    const list = fields.get(tag >> 3) ?? [];
    fields.set(tag >> 3, [...list, value]);
  }
  expect(offset).toBe(bytes.length);
  return fields;
}

const message = (fields: Map<number, (bigint | Uint8Array)[]>, field: number, index = 0) =>
  parseMessage(fields.get(field)?.[index] as Uint8Array);
const text = (fields: Map<number, (bigint | Uint8Array)[]>, field: number, index = 0) =>
  new TextDecoder().decode(fields.get(field)?.[index] as Uint8Array);

const model: OnnxModel = {
  operatorSets: { '': 21, 'com.microsoft': 1 },
  metadata: { module: 'layers[0]' },
  graph: {
    name: 'example',
    inputs: [{ name: 'x', type: 'int32', shape: ['B', 3] }],
    outputs: [{ name: 'y', type: 'float16', shape: [] }],
    initializers: [
      { name: 'small', type: 'int64', shape: [1], data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
      {
        name: 'large',
        type: 'float32',
        shape: [300, 2],
        data: { location: 'weights.bin', byteOffset: 2 ** 33, byteLength: 2400 },
      },
    ],
    nodes: [
      {
        name: 'n',
        operator: 'GroupQueryAttention',
        domain: 'com.microsoft',
        inputs: ['x', '', 'small'],
        outputs: ['y'],
        attributes: { axis: -1, epsilon: { float: 0.5 }, mode: 'tanh', axes: [1, -2] },
      },
    ],
  },
};

describe('encodeModel', () => {
  const root = parseMessage(encodeModel(model));
  const graph = message(root, 7);

  it('writes versions, operator sets and metadata', () => {
    expect(root.get(1)).toEqual([10n]);
    expect([text(message(root, 8, 0), 1), message(root, 8, 0).get(2)]).toEqual(['', [21n]]);
    expect([text(message(root, 8, 1), 1), message(root, 8, 1).get(2)]).toEqual(['com.microsoft', [1n]]);
    expect([text(message(root, 14), 1), text(message(root, 14), 2)]).toEqual(['module', 'layers[0]']);
  });

  it('writes inputs and outputs with named and fixed axes', () => {
    const tensorType = message(message(message(graph, 11), 2), 1);
    expect(tensorType.get(1)).toEqual([6n]);
    const shape = message(tensorType, 2);
    expect(text(message(shape, 1, 0), 2)).toBe('B');
    expect(message(shape, 1, 1).get(1)).toEqual([3n]);
    expect(message(message(message(graph, 12), 2), 1).get(1)).toEqual([10n]);
  });

  it('keeps optional inputs that are left out, and all kinds of attributes', () => {
    const node = message(graph, 1);
    expect([0, 1, 2].map((i) => text(node, 1, i))).toEqual(['x', '', 'small']);
    expect([text(node, 4), text(node, 7)]).toEqual(['GroupQueryAttention', 'com.microsoft']);
    const [axis, epsilon, mode, axes] = [0, 1, 2, 3].map((i) => message(node, 5, i));
    expect([axis.get(3), axis.get(20)]).toEqual([[-1n], [2n]]);
    expect([epsilon.get(2), epsilon.get(20)]).toEqual([[Uint8Array.of(0, 0, 0, 0x3f)], [1n]]);
    expect([text(mode, 4), mode.get(20)]).toEqual(['tanh', [3n]]);
    expect(axes.get(8)).toEqual([Uint8Array.of(1, 0xfe, ...Array<number>(8).fill(0xff), 1)]);
    expect(axes.get(20)).toEqual([7n]);
  });

  it('writes small tensors in place and large ones as a byte range beyond 4 GB', () => {
    const [small, large] = [0, 1].map((i) => message(graph, 5, i));
    expect(small.get(9)).toEqual([Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)]);
    expect(small.has(14)).toBe(false);
    expect(large.get(1)).toEqual([Uint8Array.of(0xac, 2, 2)]);
    const pairs = [0, 1, 2].map((i) => [text(message(large, 13, i), 1), text(message(large, 13, i), 2)]);
    expect(pairs).toEqual([
      ['location', 'weights.bin'],
      ['offset', '8589934592'],
      ['length', '2400'],
    ]);
    expect(large.get(14)).toEqual([1n]);
  });
});
