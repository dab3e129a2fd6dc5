import {
  elementTypes,
  type ElementType,
  type ExternalData,
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
} from './model.js';

/** Name of a value inside a graph. */
export type Value = string;

/** Domain of the operators that only ONNX Runtime has: fused attention, fused normalisation. */
export const runtimeDomain = 'com.microsoft';

/** What an operation takes beside its inputs. */
export interface NodeOptions {
  /** Attributes by name. */
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** Operator set; ONNX's own when left out. */
  readonly domain?: string;
  /** Name of the first result, for people who look into the file. */
  readonly name?: string;
  /** Attributes of a node that was read from a file. */
  readonly encodedAttributes?: readonly Uint8Array[];
}

/** A tensor whose elements lie in the weights file. */
export interface StoredTensor {
  /** Length of each axis. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly type: ElementType;
  /** Its byte range. */
  readonly data: ExternalData;
}

/**
 * Collects the operations of a graph. Operations that no output needs are left out when it is finished, so that
 * callers may describe the whole network and fetch a part of it.
 */
export class GraphBuilder {
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers = new Map<Value, OnnxTensor>();
  readonly #inputs: OnnxValueInfo[] = [];
  readonly #names: Set<string>;
  readonly #parent: GraphBuilder | undefined;
  readonly #prefix: string;

  /**
   * Begins a graph.
   *
   * @param parent - the graph around this one, when this is the body of a loop: it sees that graph's values
   * @param prefix - begins all names, so that they differ from those of a graph to which this one is added
   */
  constructor(parent?: GraphBuilder, prefix = '') {
    this.#parent = parent;
    this.#names = parent === undefined ? new Set() : parent.#names;
    this.#prefix = parent === undefined ? prefix : parent.#prefix;
  }

  /** Adds an input that is fed at run time. */
  input(name: string, type: ElementType, shape: OnnxValueInfo['shape']): Value {
    const unique = this.#uniqueName(name);
    this.#inputs.push({ name: unique, type, shape });
    return unique;
  }

  /**
   * Adds an operation with one result.
   *
   * @param operator - its name
   * @param inputs - values; `''` for an optional input left out
   * @param options - attributes, domain, name
   */
  node(operator: string, inputs: readonly Value[], options: NodeOptions = {}): Value {
    return this.nodes(operator, inputs, 1, options)[0];
  }

  /** Adds an operation with several results; see {@link GraphBuilder.node}. */
  nodes(
    operator: string,
    inputs: readonly Value[],
    resultCount: number,
    options: NodeOptions = {},
  ): readonly Value[] {
    const name = this.#uniqueName(options.name ?? operator);
    const outputs = Array.from({ length: resultCount }, (_, i) => (i === 0 ? name : `${name}:${i}`));
    const { domain = '', attributes = {}, encodedAttributes } = options;
    this.#nodes.push({ name, operator, domain, inputs, outputs, attributes, encodedAttributes });
    return outputs;
  }

  /** Converts elements to another type. */
  cast(value: Value, type: ElementType): Value {
    return this.node('Cast', [value], { attributes: { to: elementTypes[type] } });
  }

  /** A constant scalar or vector of integers. */
  ints(values: number | readonly number[], type: 'int32' | 'int64' = 'int64'): Value {
    const list = typeof values === 'number' ? [values] : values;
    const bytes =
      type === 'int32'
        ? new Uint8Array(Int32Array.from(list).buffer)
        : new Uint8Array(BigInt64Array.from(list, BigInt).buffer);
    return this.#constant(`${type}:${String(values)}`, type, values, bytes);
  }

  /** A constant scalar or vector of single-precision numbers. */
  floats(values: number | readonly number[]): Value {
    const bytes = new Uint8Array(Float32Array.from(typeof values === 'number' ? [values] : values).buffer);
    return this.#constant(`float:${String(values)}`, 'float32', values, bytes);
  }

  /** A tensor of the weights file. */
  stored(name: string, tensor: StoredTensor): Value {
    return this.#initializer({ name, ...tensor });
  }

  /**
   * The finished graph.
   *
   * @param name - name of the graph
   * @param outputs - what is fetched, each with the value it is taken from
   */
  finish(name: string, outputs: readonly (OnnxValueInfo & { readonly from: Value })[]): OnnxGraph {
    for (const output of outputs) {
      this.#nodes.push({
        name: `output ${output.name}`,
        operator: 'Identity',
        domain: '',
        inputs: [output.from],
        outputs: [output.name],
        attributes: {},
      });
    }
    const needed = new Set(outputs.map((output) => output.name));
    const nodes = neededNodes(this.#nodes, needed);
    return {
      name,
      inputs: this.#inputs,
      outputs: outputs.map(({ name: outputName, type, shape }) => ({ name: outputName, type, shape })),
      initializers: [...this.#initializers.values()].filter((tensor) => needed.has(tensor.name)),
      nodes,
    };
  }

  #constant(key: string, type: ElementType, values: number | readonly number[], data: Uint8Array): Value {
    const name = `${this.#prefix}constant ${key}${typeof values === 'number' ? '' : '[]'}`;
    return this.#initializer({ name, type, shape: typeof values === 'number' ? [] : [values.length], data });
  }

  /** Constants belong to the outermost graph, so that the bodies of loops share them. */
  #initializer(tensor: OnnxTensor): Value {
    if (this.#parent !== undefined) return this.#parent.#initializer(tensor);
    this.#names.add(tensor.name);
    this.#initializers.set(tensor.name, tensor);
    return tensor.name;
  }

  #uniqueName(wanted: string): string {
    const base = `${this.#prefix}${wanted}`;
    let name = base;
    for (let i = 2; this.#names.has(name); i++) name = `${base} ${i}`;
    this.#names.add(name);
    return name;
  }
}

/** The nodes that lead to a needed value, in their order; adds everything they read to `needed`. */
function neededNodes(nodes: readonly OnnxNode[], needed: Set<Value>): OnnxNode[] {
  const kept: OnnxNode[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    kept.push(node);
    for (const input of valuesReadBy(node)) needed.add(input);
  }
  return kept.reverse();
}

/** The inputs of a node, and what the body of a loop reads of the graph around it. */
function valuesReadBy(node: OnnxNode): readonly Value[] {
  const bodies = Object.values(node.attributes).filter(
    (value) => typeof value === 'object' && 'nodes' in value,
  );
  return [...node.inputs, ...bodies.flatMap((body) => body.nodes.flatMap(valuesReadBy))];
}
