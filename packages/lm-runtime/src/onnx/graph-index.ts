import type { FileNode, FileTensor, OnnxFile } from './onnx-file.js';

/** Who makes each value of a graph, who reads it, and what it depends on. */
export interface GraphIndex {
  /** The file. */
  readonly file: OnnxFile;
  /** Constant tensors by name. */
  readonly initializers: ReadonlyMap<string, FileTensor>;
  /** The node that makes a value. */
  readonly producers: ReadonlyMap<string, FileNode>;
  /** The nodes that read a value. */
  readonly readers: ReadonlyMap<string, readonly FileNode[]>;
  /** Values that are computed from embeddings: hidden states, and not shapes, masks or constants. */
  readonly hidden: ReadonlySet<string>;
  /** Values that are computed from the inputs. */
  readonly variable: ReadonlySet<string>;
}

/** Looks a table up by numbers. */
const lookups = new Set(['Gather', 'GatherBlockQuantized', 'EmbedLayerNormalization']);

/** What these give has nothing to do with the elements of what they read. */
const shapeOperators = new Set(['Shape', 'Size']);

/** Indexes the graph of a file. */
export function indexGraph(file: OnnxFile): GraphIndex {
  const initializers = new Map(file.initializers.map((tensor) => [tensor.name, tensor]));
  const producers = new Map<string, FileNode>();
  const readers = new Map<string, FileNode[]>();
  const variable = new Set(file.inputs.map((input) => input.name).filter((name) => !initializers.has(name)));
  const hidden = new Set<string>();
  // Nodes stand in an order in which they can run, so that what a node reads is known before it.
  for (const node of file.nodes) {
    const inputs = valuesReadBy(node);
    for (const input of new Set(inputs)) {
      const others = readers.get(input);
      if (others === undefined) readers.set(input, [node]);
      else others.push(node);
    }
    const isVariable = inputs.some((input) => variable.has(input));
    const isHidden = isEmbedding(node, initializers) || inputs.some((input) => hidden.has(input));
    for (const output of node.outputs) {
      producers.set(output, node);
      if (isVariable) variable.add(output);
      if (isHidden && !shapeOperators.has(node.operator)) hidden.add(output);
    }
  }
  return { file, initializers, producers, readers, hidden, variable };
}

/** The values that a node reads, those within its bodies too. */
export function valuesReadBy(node: FileNode): readonly string[] {
  return [...node.inputs, ...node.bodyInputs].filter((name) => name !== '');
}

/** A lookup in a table of weights: of more than one axis, so that it is not a table of shapes. */
function isEmbedding(node: FileNode, initializers: ReadonlyMap<string, FileTensor>): boolean {
  if (!lookups.has(node.operator)) return false;
  return node.inputs.some((input) => (initializers.get(input)?.shape.length ?? 0) >= 2);
}

/**
 * The nodes that some values depend on, in the order of the file, and all values that these read.
 *
 * @param values - wanted values
 */
export function neededFor(
  { file, producers }: GraphIndex,
  values: readonly string[],
): { nodes: FileNode[]; names: Set<string> } {
  const names = new Set(values);
  const waiting = [...names];
  const kept = new Set<FileNode>();
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const node = producers.get(name);
    if (node === undefined || kept.has(node)) continue;
    kept.add(node);
    for (const input of valuesReadBy(node)) {
      if (names.has(input)) continue;
      names.add(input);
      waiting.push(input);
    }
  }
  return { nodes: file.nodes.filter((node) => kept.has(node)), names };
}
