import { encodeNode, ProtobufWriter } from '@knn-lm/checkpoint';
import { attributeGraph, type FileNode, type OnnxFile } from './onnx-file.js';

/** The input that says, in models that Optimum has merged, whether keys and values of earlier tokens are given. */
const switchInput = 'use_cache_branch';

/**
 * A merged decoder holds the model twice, in the branches of one `If`: for a text from its beginning, and for what follows
 * on keys and values. Only one of them is kept, in the place of the `If`, so that its operations can be found and cut
 * down like those of any other model. Other models stay as they are.
 *
 * @param file - the model
 * @param usesPast - keep the branch that takes keys and values
 */
export function inlineCacheBranch(file: OnnxFile, usesPast: boolean): OnnxFile {
  const node = file.nodes.find(({ operator, inputs }) => operator === 'If' && inputs[0] === switchInput);
  const name = usesPast ? 'then_branch' : 'else_branch';
  const attribute = node?.attributes.find((candidate) => candidate.name === name);
  if (node === undefined || attribute === undefined) return file;
  const branch = attributeGraph(attribute);
  // The branch usually calls its results what the `If` calls them.
  const results = node.outputs.flatMap((output, i) =>
    branch.outputs[i]?.name === output ? [] : identity(branch.outputs[i]?.name ?? '', output),
  );
  return {
    ...file,
    nodes: file.nodes.flatMap((other) => (other === node ? [...branch.nodes, ...results] : [other])),
    initializers: [...file.initializers, ...branch.initializers],
    inputs: file.inputs.filter((input) => input.name !== switchInput),
  };
}

function identity(from: string, to: string): FileNode {
  const node = { name: `${to} of branch`, operator: 'Identity', domain: '', inputs: [from], outputs: [to] };
  const encoded = new ProtobufWriter().message(1, encodeNode({ ...node, attributes: {} })).finish();
  return { ...node, attributes: [], bodyInputs: [], notes: {}, encoded };
}
