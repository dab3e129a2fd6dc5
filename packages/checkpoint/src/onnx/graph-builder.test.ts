import { describe, expect, it } from 'vitest';
import { GraphBuilder } from './graph-builder.js';

describe('GraphBuilder', () => {
  it('leaves out what no output needs, and keeps the order of the rest', () => {
    const builder = new GraphBuilder();
    const x = builder.input('x', 'float32', ['n']);
    const unused = builder.node('Mul', [x, builder.floats(2)]);
    const sum = builder.node('Add', [x, builder.floats(3)]);
    builder.node('Neg', [unused]);
    const root = builder.node('Sqrt', [sum]);
    const graph = builder.finish('g', [{ name: 'y', type: 'float32', shape: ['n'], from: root }]);
    expect(graph.nodes.map((node) => node.operator)).toEqual(['Add', 'Sqrt', 'Identity']);
    expect(graph.initializers.map((tensor) => tensor.name)).toEqual(['constant float:3']);
    expect(graph.outputs).toEqual([{ name: 'y', type: 'float32', shape: ['n'] }]);
  });

  it('keeps what only the body of a loop reads, and gives no name twice', () => {
    const builder = new GraphBuilder();
    const x = builder.input('x', 'float32', ['n']);
    const doubled = builder.node('Mul', [x, builder.floats(2)]);
    const body = new GraphBuilder(builder);
    body.input('i', 'int64', []);
    const goOn = body.input('go on', 'bool', []);
    const inner = body.node('Mul', [doubled, body.floats(5)]);
    const loopBody = body.finish('body', [
      { name: 'next', type: 'bool', shape: [], from: goOn },
      { name: 'part', type: 'float32', shape: ['n'], from: inner },
    ]);
    const loop = builder.node('Loop', [builder.ints(3), ''], { attributes: { body: loopBody } });
    const graph = builder.finish('g', [{ name: 'y', type: 'float32', shape: ['m'], from: loop }]);
    expect(graph.nodes.map((node) => node.operator)).toEqual(['Mul', 'Loop', 'Identity']);
    expect(inner).not.toBe(doubled);
    expect(loopBody.initializers).toEqual([]);
    expect(graph.initializers.map((tensor) => tensor.name)).toContain('constant float:5');
  });

  it('tells scalars from vectors, and integer types apart', () => {
    const builder = new GraphBuilder();
    const x = builder.input('x', 'int64', ['n']);
    const values = [builder.ints(1), builder.ints([1]), builder.ints(1, 'int32'), builder.ints([])];
    const all = builder.node('Concat', [x, ...values]);
    const { initializers } = builder.finish('g', [{ name: 'y', type: 'int64', shape: [], from: all }]);
    expect(initializers.map(({ type, shape }) => [type, shape])).toEqual([
      ['int64', []],
      ['int64', [1]],
      ['int32', []],
      ['int64', [0]],
    ]);
  });
});
