/** Element types of ONNX tensors, with their numbers in `onnx.TensorProto.DataType`. */
export const elementTypes = {
  float32: 1,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
} as const satisfies Record<ElementType, number>;

/** Name of an element type. */
export type ElementType = 'float32' | 'int8' | 'int32' | 'int64' | 'bool' | 'float16';

/** One axis of a value's shape: its length, or a name for a length known only at run time. */
export type Axis = number | string;

/** An input or output of a graph. */
export interface OnnxValueInfo {
  /** Name of the value. */
  readonly name: string;
  /** Element type. */
  readonly type: ElementType;
  /** Axes; an empty list is a scalar. */
  readonly shape: readonly Axis[];
}

/** Where the elements of a large tensor lie: a byte range of a file beside the model. */
export interface ExternalData {
  /** File name, in the model's own folder. */
  readonly location: string;
  /** First byte. */
  readonly byteOffset: number;
  /** Number of bytes. */
  readonly byteLength: number;
}

/** A constant tensor. */
export interface OnnxTensor {
  /** Name of the value. */
  readonly name: string;
  /** Element type. */
  readonly type: ElementType;
  /** Length of each axis; an empty list is a scalar. */
  readonly shape: readonly number[];
  /** Elements as little-endian bytes, or where they lie. */
  readonly data: Uint8Array | ExternalData;
}

/** An attribute that is a float; a bare number is an integer. */
export interface OnnxFloat {
  /** Its value. */
  readonly float: number;
}

/** Value of an attribute. */
export type OnnxAttribute = number | string | readonly number[] | OnnxFloat | OnnxGraph;

/** One operation. */
export interface OnnxNode {
  /** Name, for error messages and profiles. */
  readonly name: string;
  /** Operator, such as `Gemm`. */
  readonly operator: string;
  /** Operator set: empty for ONNX itself, `com.microsoft` for the runtime's own operators. */
  readonly domain: string;
  /** Names of values; an empty name is an optional input left out. */
  readonly inputs: readonly string[];
  /** Names of the results; an empty name is an optional output left out. */
  readonly outputs: readonly string[];
  /** Attributes by name. */
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
  /** Attributes of a node that was read from a file, each an encoded `AttributeProto`. */
  readonly encodedAttributes?: readonly Uint8Array[] | undefined;
}

/** A graph: of the model, or the body of a loop. Nodes are in an order in which they can run. */
export interface OnnxGraph {
  /** Name. */
  readonly name: string;
  /** Values that are fed. */
  readonly inputs: readonly OnnxValueInfo[];
  /** Values that are fetched. */
  readonly outputs: readonly OnnxValueInfo[];
  /** Constants. */
  readonly initializers: readonly OnnxTensor[];
  /** Operations. */
  readonly nodes: readonly OnnxNode[];
}

/** A whole ONNX model. */
export interface OnnxModel {
  /** The main graph. */
  readonly graph: OnnxGraph;
  /** Version of each operator set that is used. */
  readonly operatorSets: Readonly<Record<string, number>>;
  /** Free text kept in the file. */
  readonly metadata: Readonly<Record<string, string>>;
}
