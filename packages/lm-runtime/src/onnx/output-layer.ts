import { LmRuntimeError } from '../errors.js';
import { constantNodeShape } from './constant-node.js';
import type { GraphIndex } from './graph-index.js';
import type { FileNode } from './onnx-file.js';

/** The operations between the last hidden states and the logits. */
export interface OutputLayer {
  /** Value that the layer reads: one row for each token. */
  readonly features: string;
  /** Its operations, in their order; empty where it could not be told apart, and `features` are the logits then. */
  readonly nodes: readonly FileNode[];
  /** The logits. */
  readonly logits: string;
  /** Number of tokens that it gives a logit each, where the file says so. */
  readonly vocabSize: number | undefined;
}

/** Matrix products with weights; their first input is what is multiplied. */
const products = new Set(['MatMul', 'Gemm', 'MatMulNBits', 'DynamicQuantizeMatMul']);

/** Work on each element by itself. */
const elementwise = new Set(['Add', 'Sub', 'Mul', 'Div', 'Tanh', 'Cast', 'Identity']);

/**
 * Finds the output layer: from the logits back to the first matrix product, over operations that treat each row by
 * itself. These can be computed for the wanted positions only, and for some of them at a time.
 *
 * @throws LmRuntimeError `ONNX_NO_LOGITS` when the model has no output of that name
 */
export function findOutputLayer(graph: GraphIndex): OutputLayer {
  const { file } = graph;
  const output = file.outputs.find(({ name }) => name === 'logits');
  if (output === undefined) {
    throw new LmRuntimeError(
      'ONNX_NO_LOGITS',
      `${file.path}: has no output logits, but ${file.outputs.map(({ name }) => name).join(', ') || 'none'}`,
      {
        hint: 'Export a causal language model (AutoModelForCausalLM; optimum-cli export onnx --task text-generation).',
        details: { path: file.path },
      },
    );
  }
  const declared = output.shape.at(-1);
  const declaredSize = typeof declared === 'number' && declared > 0 ? declared : undefined;
  const nodes = rowwiseNodes(graph, output.name);
  if (nodes === undefined) {
    return { features: output.name, nodes: [], logits: output.name, vocabSize: declaredSize };
  }
  const vocabSize = declaredSize ?? widthOfProduct(graph, nodes[0]);
  return { features: nodes[0].inputs[0], nodes, logits: output.name, vocabSize };
}

function rowwiseNodes(graph: GraphIndex, logits: string): FileNode[] | undefined {
  const nodes: FileNode[] = [];
  let value = logits;
  for (;;) {
    const node = graph.producers.get(value);
    if (node === undefined || node.outputs.length !== 1 || node.bodyInputs.length > 0) return undefined;
    const inputs = node.inputs.filter((name) => graph.variable.has(name));
    if (inputs.length !== 1) return undefined;
    nodes.unshift(node);
    if (products.has(node.operator)) return isRowwiseProduct(graph, node) ? nodes : undefined;
    if (!elementwise.has(node.operator) || !areVectors(graph, node)) return undefined;
    value = inputs[0];
  }
}

function isRowwiseProduct(graph: GraphIndex, node: FileNode): boolean {
  if (!graph.variable.has(node.inputs[0])) return false;
  if (node.operator === 'MatMul') return constantShape(graph, node.inputs[1])?.length === 2;
  return !node.attributes.some(({ name, int }) => name === 'transA' && int !== 0);
}

/** Constants beside the hidden states have at most one axis longer than 1, the last one. */
function areVectors(graph: GraphIndex, node: FileNode): boolean {
  return node.inputs
    .filter((name) => name !== '' && !graph.variable.has(name))
    .every(
      (name) =>
        constantShape(graph, name)
          ?.slice(0, -1)
          .every((length) => length === 1) ?? false,
    );
}

function widthOfProduct(graph: GraphIndex, product: FileNode): number | undefined {
  const attribute = (name: string): number | undefined =>
    product.attributes.find((candidate) => candidate.name === name)?.int;
  if (product.operator === 'MatMulNBits') return attribute('N');
  const shape = constantShape(graph, product.inputs[1]);
  return product.operator === 'Gemm' && attribute('transB') === 1 ? shape?.[0] : shape?.[1];
}

/** Shape of a constant: a tensor of the file, or one that is turned around, converted or written out. */
export function constantShape(graph: GraphIndex, name: string): readonly number[] | undefined {
  const tensor = graph.initializers.get(name);
  if (tensor !== undefined) return tensor.shape;
  const node = graph.producers.get(name);
  switch (node?.operator) {
    case 'Transpose': {
      const shape = constantShape(graph, node.inputs[0]);
      return shape?.length === 2 ? [shape[1], shape[0]] : undefined;
    }
    case 'Cast':
    case 'Identity':
    case 'DequantizeLinear':
      return constantShape(graph, node.inputs[0]);
    case 'Constant':
      return constantNodeShape(node);
    default:
      return undefined;
  }
}
