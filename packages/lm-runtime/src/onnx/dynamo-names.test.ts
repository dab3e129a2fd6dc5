// Graphs with the names and metadata of torch 2's exporter, made of those of torch 1.13: torch 2 is not at hand.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProtobufWriter } from '@knn-lm/checkpoint';
import { describe, expect, it } from 'vitest';
import { exportBatch, exportPath, readExport } from '../../test/exports/read-export.js';
import { maxDifference } from '../../test/golden-model.js';
import { LanguageModel } from '../language-model.js';
import { listModules } from '../list-modules.js';
import { modulesAround } from './modules-around.js';
import { readOnnxFile, type FileNode } from './onnx-file.js';

const work = await mkdtemp(join(tmpdir(), 'knn-lm-dynamo-'));

/** What the exporter notes of a node of some modules. */
type Notes = (modules: readonly string[], operation: string) => Record<string, string>;

const nameScopes: Notes = (modules, operation) => ({
  'pkg.torch.onnx.class_hierarchy': "['model.Gpt', 'aten.add.Tensor']",
  'pkg.torch.onnx.name_scopes': `[${['', ...modules, operation].map((scope) => `'${scope}'`).join(', ')}]`,
});
const namespace: Notes = (modules, operation) => ({
  namespace: [
    ': model.Gpt',
    ...modules.map((path) => `${path}: model.Module`),
    `${operation}: aten.add.Tensor`,
  ].join('/'),
  'pkg.torch.onnx.fx_node': '%add : [num_users=1] = call_function[target=torch.ops.aten.add.Tensor]',
});

/** The nodes with names like `node_MatMul_7`, and the path in their metadata. A field that stands twice counts the second time. */
async function renamed(name: string, notes: Notes): Promise<string> {
  const file = await readOnnxFile(exportPath(name));
  const graph = new ProtobufWriter();
  for (const [i, node] of file.nodes.entries()) {
    const operation = `${node.operator.toLowerCase()}_${i}`;
    const body = new ProtobufWriter()
      .encoded(contentOf(node.encoded))
      .string(3, `node_${node.operator}_${i}`);
    for (const [key, value] of Object.entries(notes(modulesAround(node), operation))) {
      body.message(9, new ProtobufWriter().string(1, key).string(2, value));
    }
    graph.message(1, body);
  }
  for (const { encoded } of [...file.initializers, ...file.inputs, ...file.outputs]) graph.encoded(encoded);
  const model = new ProtobufWriter();
  for (const field of file.around) model.encoded(field);
  const path = join(work, `${name}.${notes.name}.onnx`);
  await writeFile(path, model.message(7, graph).finish());
  return path;
}

/** A field without its tag and length. */
function contentOf(field: Uint8Array): Uint8Array {
  let at = 1;
  while (field[at] > 0x7f) at++;
  return field.subarray(at + 1);
}

describe.each([nameScopes, namespace])("modules in the metadata of torch 2's exporter ($name)", (notes) => {
  it.each(['gpt2.opset13', 'llama.past.opset17'])(
    '%s: the same modules, with the same outputs',
    async (name) => {
      const path = await renamed(name, notes);
      expect(await listModules(path)).toEqual(await listModules(exportPath(name)));
      const golden = readExport(name);
      const [module] = Object.keys(golden.modules).slice(-2);
      const model = await LanguageModel.open(path, { purpose: 'score', moduleToCapture: module, threads: 1 });
      const { keys, logProbs } = await model.run(exportBatch(golden));
      expect(maxDifference(logProbs!, golden.targetLogProbs.flat())).toBeLessThan(2e-5);
      const expected = golden.modules[module].flatMap((row) => row.slice(0, -1)).flat();
      expect(maxDifference(keys, expected)).toBeLessThan(2e-5);
      await model.close();
    },
  );
});

describe('modulesAround', () => {
  const node = (name: string, notes: FileNode['notes'] = {}): string[] =>
    modulesAround({ name, notes } as FileNode);

  it.each<[string, string[], FileNode['notes']?]>([
    ['/transformer/h.0/ln_1/Add', ['transformer', 'transformer.h.0', 'transformer.h.0.ln_1']],
    ['node_Add_3', []],
    ['', []],
    ['/a//b/Add', []],
    [
      'n',
      ['blocks.2', 'blocks.2.mlp'],
      { 'pkg.torch.onnx.name_scopes': "['', 'blocks.2', 'blocks.2.mlp', 'linear_8']" },
    ],
    ['n', ["it's", 'a\\b'], { 'pkg.torch.onnx.name_scopes': `['', "it's", 'a\\\\b', 'op']` }],
    ['n', [], { 'pkg.torch.onnx.name_scopes': "['', 'add_1']" }],
    ['n', [], { 'pkg.torch.onnx.name_scopes': 'no list' }],
    ['n', ['h.0'], { namespace: ': m.Gpt/h.0: m.Block/h.0: m.Block/add: aten.add.Tensor' }],
  ])('%s: %j', (name, expected, notes) => {
    expect(node(name, notes)).toEqual(expected);
  });
});
