import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ProtobufWriter } from '@knn-lm/checkpoint';
import { exportPath } from '../../test/exports/read-export.js';
import { LmRuntimeError } from '../errors.js';
import { captureGraph } from './capture-graph.js';
import { indexGraph } from './graph-index.js';
import { capturable } from './find-scope.js';
import { moduleScopes } from './module-scopes.js';
import { parseOnnxFile } from './onnx-file.js';
import { findOutputLayer } from './output-layer.js';

const llama = readFileSync(exportPath('llama.past.opset17'));

describe('parseOnnxFile', () => {
  it('reads inputs, outputs, weights and operations', () => {
    const file = parseOnnxFile(llama, 'llama.onnx');
    expect(file.opset).toBe(17);
    expect(file.inputs.map(({ name, type, shape }) => [name, type, shape]).slice(0, 4)).toEqual([
      ['input_ids', 7, ['batch', 'sequence']],
      ['attention_mask', 7, ['batch', 'total']],
      ['position_ids', 7, ['batch', 'sequence']],
      ['past_key_values.0.key', 1, ['batch', 2, 'past', 8]],
    ]);
    expect(file.outputs[0].name).toBe('logits');
    expect(file.initializers.find(({ name }) => name === 'model.embed_tokens.weight')?.shape).toEqual([
      61, 16,
    ]);
    expect(file.nodes.find(({ name }) => name === '/lm_head/MatMul')?.operator).toBe('MatMul');
  });

  it('merges parts of a graph, as protobuf does', () => {
    const addition = new ProtobufWriter().message(
      7,
      new ProtobufWriter().message(12, new ProtobufWriter().string(1, '/model/norm/Mul_1_output_0')),
    );
    const file = parseOnnxFile(Buffer.concat([llama, addition.finish()]), 'llama.onnx');
    expect(file.outputs.at(-1)?.name).toBe('/model/norm/Mul_1_output_0');
    expect(file.nodes).toHaveLength(parseOnnxFile(llama, 'llama.onnx').nodes.length);
  });

  it('refuses bodies that lie within one another without end', () => {
    let graph = new ProtobufWriter();
    for (let i = 0; i < 100; i++) {
      graph = new ProtobufWriter().message(
        1,
        new ProtobufWriter().message(5, new ProtobufWriter().message(6, graph)),
      );
    }
    const model = new ProtobufWriter().message(8, new ProtobufWriter().int(2, 17)).message(7, graph).finish();
    expect(() => parseOnnxFile(model, 'deep.onnx')).toThrow(
      expect.objectContaining({ code: 'ONNX_DAMAGED' }),
    );
  });
});

describe('captureGraph', () => {
  it('leaves out what is not needed', () => {
    const graph = indexGraph(parseOnnxFile(llama, 'llama.onnx'));
    const { bytes, inputs } = captureGraph(graph, {
      captured: '/model/layers.0/mlp/down_proj/MatMul_output_0',
      keysDtype: 'fp32',
      outputLayer: undefined,
    });
    const kept = parseOnnxFile(bytes, 'kept.onnx').nodes.map(({ name }) => name);
    expect(kept).toContain('/model/layers.0/mlp/down_proj/MatMul');
    expect(kept.filter((name) => /layers\.1|lm_head|model\/norm/.test(name))).toEqual([]);
    expect(inputs.map(({ name }) => name)).toContain('past_key_values.0.value');
    expect(inputs.map(({ name }) => name)).not.toContain('past_key_values.1.key');
    expect(bytes.length).toBeLessThan(llama.length * 0.7);
  });
});

/** Numbers that repeat for a seed (xorshift). */
function randomNumbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

describe('a damaged file', () => {
  it('is a typed error, or a graph, at once', () => {
    const random = randomNumbers(7);
    const codes = new Set<string>();
    for (let i = 0; i < 300; i++) {
      const bytes = Buffer.from(llama);
      const at = random(bytes.length);
      const kind = i % 3;
      if (kind === 0) for (let k = 0; k < 8; k++) bytes[(at + random(4000)) % bytes.length] ^= 1 << random(8);
      if (kind === 1) bytes.fill(0xff, at, at + 9);
      const start = performance.now();
      try {
        const graph = indexGraph(parseOnnxFile(kind === 2 ? bytes.subarray(0, at) : bytes, 'damaged.onnx'));
        capturable(moduleScopes(graph));
        findOutputLayer(graph);
        codes.add('read');
      } catch (error) {
        if (!(error instanceof LmRuntimeError)) throw error;
        codes.add(error.code);
      }
      expect(performance.now() - start).toBeLessThan(1000);
    }
    expect(codes).toContain('ONNX_DAMAGED');
    expect(codes).toContain('read');
  });
});
