// Field numbers: https://github.com/onnx/onnx/blob/v1.16.0/onnx/onnx.proto3
import { stat, readFile } from 'node:fs/promises';
import { describeFileError } from '@knn-lm/common';
import { LmRuntimeError } from '../errors.js';
import { packedVarints, protobufFields, ProtobufProblem, type ProtobufField } from './protobuf-reader.js';

/** A protobuf file cannot be longer; larger models keep their weights in files beside it. */
const longestFile = 2 ** 31;

/** Bodies of loops and branches within one another; real models have two or three. */
const deepestBody = 32;

/** Tensors have a handful of axes, of 10 bytes at most. */
const longestShape = 1000;

/** An attribute: only what is needed to follow values through a graph. */
export interface NodeAttribute {
  /** Name. */
  readonly name: string;
  /** Value of an integer attribute. */
  readonly int: number;
  /** The encoded `AttributeProto`. */
  readonly encoded: Uint8Array;
}

/** One operation. */
export interface FileNode {
  /** Name: module path and operator, such as `/transformer/h.0/ln_1/Add`. */
  readonly name: string;
  /** Operator, such as `Gemm`. */
  readonly operator: string;
  /** Operator set; empty for ONNX itself. */
  readonly domain: string;
  /** Names of values that it reads; `''` for one left out. */
  readonly inputs: readonly string[];
  /** Values of the graph around that the bodies of a loop or branch read (and names of their own, which do no harm). */
  readonly bodyInputs: readonly string[];
  /** Names of its results. */
  readonly outputs: readonly string[];
  /** Attributes. */
  readonly attributes: readonly NodeAttribute[];
  /** Notes of the exporter (`metadata_props`, since ONNX 1.16): only those in {@link keptNotes}. */
  readonly notes: Readonly<Partial<Record<NoteName, string>>>;
  /** The whole field of the graph. */
  readonly encoded: Uint8Array;
}

/** Notes that say which modules a node comes from; others, such as stack traces, are long. */
const keptNotes = ['pkg.torch.onnx.name_scopes', 'namespace'] as const;

/** Name of a note. */
export type NoteName = (typeof keptNotes)[number];

/** A constant tensor. */
export interface FileTensor {
  /** Name. */
  readonly name: string;
  /** Number of the element type in `onnx.TensorProto.DataType`. */
  readonly type: number;
  /** Length of each axis. */
  readonly shape: readonly number[];
  /** File that holds the elements, beside the model; `undefined` where the model holds them. */
  readonly location: string | undefined;
  /** The whole field of the graph. */
  readonly encoded: Uint8Array;
}

/** An input or output. */
export interface FileValue {
  /** Name. */
  readonly name: string;
  /** Number of the element type; 0 where it is not said or is no tensor. */
  readonly type: number;
  /** Length of each axis; a name, or `''`, where it is free. */
  readonly shape: readonly (number | string)[];
  /** The whole field of the graph. */
  readonly encoded: Uint8Array;
}

/** What was read of an `.onnx` file. Everything is a view of its bytes. */
export interface OnnxFile {
  /** Path as given. */
  readonly path: string;
  /** The bytes of the file. */
  readonly bytes: Uint8Array;
  /** Operations in their order. */
  readonly nodes: readonly FileNode[];
  /** Constant tensors. */
  readonly initializers: readonly FileTensor[];
  /** What is fed. */
  readonly inputs: readonly FileValue[];
  /** What is fetched. */
  readonly outputs: readonly FileValue[];
  /** Version of ONNX's own operators. */
  readonly opset: number;
  /** Fields of the model around the graph: versions, functions, metadata. */
  readonly around: readonly Uint8Array[];
}

/**
 * Reads an `.onnx` file. Only what is needed to find a tensor is interpreted; weights are not looked at.
 *
 * @param path - the file
 * @throws {@link LmRuntimeError} `ONNX_DAMAGED`, `ONNX_TOO_LARGE`
 * @throws KnnLmError `FILE_…` when it cannot be read
 */
export async function readOnnxFile(path: string): Promise<OnnxFile> {
  let bytes: Uint8Array;
  try {
    const { size } = await stat(path);
    if (size >= longestFile) throw tooLarge(path, size);
    bytes = await readFile(path);
  } catch (cause) {
    throw describeFileError(cause, path, 'open the model');
  }
  return parseOnnxFile(bytes, path);
}

/** As {@link readOnnxFile}, for bytes that are in memory. */
export function parseOnnxFile(bytes: Uint8Array, path: string): OnnxFile {
  try {
    return parseModel(bytes, path);
  } catch (cause) {
    if (!(cause instanceof ProtobufProblem)) throw cause;
    throw new LmRuntimeError('ONNX_DAMAGED', `${path}: is no ONNX model: ${cause.message}`, {
      hint: 'Give the .onnx file of a causal language model; if it is one, copy or export it again.',
      details: { path },
      cause,
    });
  }
}

function tooLarge(path: string, size: number): LmRuntimeError {
  return new LmRuntimeError(
    'ONNX_TOO_LARGE',
    `${path}: has ${size} bytes; an .onnx file has less than 2 GiB`,
    {
      hint: 'Export the model with its weights as external data.',
      details: { path, size },
    },
  );
}

function parseModel(bytes: Uint8Array, path: string): OnnxFile {
  const around: Uint8Array[] = [];
  const graphs: Uint8Array[] = [];
  let opset = 0;
  for (const field of protobufFields(bytes)) {
    if (field.number === 7) graphs.push(field.bytes);
    else around.push(field.encoded);
    if (field.number === 8) opset = Math.max(opset, opsetOf(field.bytes));
  }
  if (graphs.length === 0 || opset === 0) throw new ProtobufProblem('it has no graph or no operator set');
  const graph = { nodes: [], initializers: [], inputs: [], outputs: [] };
  // A message that stands several times is merged: the lists of one graph follow those of the other.
  for (const part of graphs) parseGraph(part, graph);
  return { path, bytes, opset, around, ...graph };
}

/** The version of the operator set, where it is ONNX's own. */
function opsetOf(bytes: Uint8Array): number {
  let domain = '';
  let version = 0;
  for (const { number, bytes: content, value } of protobufFields(bytes)) {
    if (number === 1) domain = text(content);
    if (number === 2) version = value;
  }
  return domain === '' || domain === 'ai.onnx' ? version : 0;
}

/** What a graph, or the body of a branch, holds. */
export interface GraphLists {
  /** Operations in their order. */
  readonly nodes: FileNode[];
  /** Constant tensors. */
  readonly initializers: FileTensor[];
  /** What is fed. */
  readonly inputs: FileValue[];
  /** What is fetched. */
  readonly outputs: FileValue[];
}

/**
 * The graph that an attribute holds, such as a branch of an `If`.
 *
 * @param attribute - of a node that was read by {@link readOnnxFile}
 */
export function attributeGraph({ encoded }: NodeAttribute): GraphLists {
  const lists: GraphLists = { nodes: [], initializers: [], inputs: [], outputs: [] };
  for (const field of protobufFields(encoded)) if (field.number === 6) parseGraph(field.bytes, lists);
  return lists;
}

function parseGraph(bytes: Uint8Array, lists: GraphLists): void {
  for (const field of protobufFields(bytes)) {
    if (field.number === 1) lists.nodes.push(parseNode(field, 0));
    if (field.number === 5) lists.initializers.push(parseTensor(field));
    if (field.number === 11) lists.inputs.push(parseValue(field));
    if (field.number === 12) lists.outputs.push(parseValue(field));
  }
}

function parseNode({ bytes, encoded }: ProtobufField, depth: number): FileNode {
  const node = { name: '', operator: '', domain: '' };
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes: NodeAttribute[] = [];
  const bodyInputs: string[] = [];
  const notes: Partial<Record<NoteName, string>> = {};
  for (const field of protobufFields(bytes)) {
    if (field.number === 1) inputs.push(text(field.bytes));
    if (field.number === 2) outputs.push(text(field.bytes));
    if (field.number === 3) node.name = text(field.bytes);
    if (field.number === 4) node.operator = text(field.bytes);
    if (field.number === 7) node.domain = text(field.bytes);
    if (field.number === 5) attributes.push(parseAttribute(field.bytes, bodyInputs, depth));
    if (field.number === 9) parseNote(field.bytes, notes);
  }
  return { ...node, inputs, outputs, attributes, bodyInputs, notes, encoded };
}

function parseNote(pair: Uint8Array, notes: Partial<Record<NoteName, string>>): void {
  const [key, value] = parsePair(pair);
  const name = keptNotes.find((kept) => kept === key);
  if (name !== undefined) notes[name] = value;
}

function parseAttribute(bytes: Uint8Array, bodyInputs: string[], depth: number): NodeAttribute {
  let name = '';
  let int = 0;
  for (const field of protobufFields(bytes)) {
    if (field.number === 1) name = text(field.bytes);
    if (field.number === 3) int = field.value;
    if (field.number === 6 || field.number === 11) collectBodyInputs(field.bytes, bodyInputs, depth + 1);
  }
  return { name, int, encoded: bytes };
}

function collectBodyInputs(graph: Uint8Array, names: string[], depth: number): void {
  if (depth > deepestBody) throw new ProtobufProblem(`bodies more than ${deepestBody} deep`);
  for (const field of protobufFields(graph)) {
    if (field.number === 12) names.push(parseValue(field).name);
    if (field.number !== 1) continue;
    const node = parseNode(field, depth);
    for (const name of [...node.inputs, ...node.bodyInputs]) names.push(name);
  }
}

function parseTensor({ bytes, encoded }: ProtobufField): FileTensor {
  let name = '';
  let type = 0;
  let location: string | undefined;
  const shape: number[] = [];
  for (const field of protobufFields(bytes)) {
    if (field.number === 1) shape.push(...dimensions(field));
    if (field.number === 2) type = field.value;
    if (field.number === 8) name = text(field.bytes);
    if (field.number === 13) location = locationOf(field.bytes) ?? location;
  }
  return { name, type, shape, location, encoded };
}

/** A repeated integer field may be packed or not; `onnx.proto3` packs it, other writers need not. */
function dimensions({ bytes, value }: ProtobufField): number[] {
  if (bytes.length > longestShape) throw new ProtobufProblem(`a shape of ${bytes.length} bytes`);
  return bytes.length === 0 ? [value] : packedVarints(bytes);
}

function locationOf(pair: Uint8Array): string | undefined {
  const [key, value] = parsePair(pair);
  return key === 'location' ? value : undefined;
}

/** `StringStringEntryProto`. */
function parsePair(pair: Uint8Array): [key: string, value: string] {
  const fields = [...protobufFields(pair)];
  const part = (number: number): string => text(fields.find((field) => field.number === number)?.bytes);
  return [part(1), part(2)];
}

function parseValue({ bytes, encoded }: ProtobufField): FileValue {
  let name = '';
  let type = 0;
  let shape: (number | string)[] = [];
  for (const field of protobufFields(bytes)) {
    if (field.number === 1) name = text(field.bytes);
    if (field.number !== 2) continue;
    for (const kind of protobufFields(field.bytes)) {
      if (kind.number !== 1) continue;
      for (const part of protobufFields(kind.bytes)) {
        if (part.number === 1) type = part.value;
        if (part.number === 2) shape = parseShape(part.bytes);
      }
    }
  }
  return { name, type, shape, encoded };
}

function parseShape(bytes: Uint8Array): (number | string)[] {
  return [...protobufFields(bytes)]
    .filter((field) => field.number === 1)
    .map((axis) => {
      let length: number | string = '';
      for (const field of protobufFields(axis.bytes)) {
        length = field.number === 1 ? field.value : text(field.bytes);
      }
      return length;
    });
}

const decoder = new TextDecoder();

function text(bytes: Uint8Array | undefined): string {
  return decoder.decode(bytes);
}
