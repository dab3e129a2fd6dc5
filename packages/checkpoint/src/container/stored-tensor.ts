import { CheckpointError } from '../errors.js';
import { describeValue } from '../pickle/literals.js';
import { PyObject, PyReference, type PyValue } from '../pickle/values.js';
import type { StorageExtent, TorchContainer } from './container.js';
import { elementBytes, float32FromBytes, isFloat, type ElementType } from './element-types.js';
import { isCount, storageReference } from './storage-reference.js';

/** A view of a storage, as torch describes it: element `(i, j, …)` is at `offset + i * strides[0] + j * strides[1] + …`. */
export interface StoredTensor {
  /** Name in the state dict, for messages. */
  readonly name: string;
  /** Element type. */
  readonly type: ElementType;
  /** Length of each axis. */
  readonly shape: readonly number[];
  /** Elements between neighbours on each axis. */
  readonly strides: readonly number[];
  /** First element in the storage. */
  readonly offset: number;
  /** Key of the storage. */
  readonly storageKey: string;
  /** Where the storage lies. */
  readonly storage: StorageExtent;
}

/** No parameter has more axes than a convolution over volumes. */
const MAX_AXES = 8;
/**
 * Bytes of the storage read at once for rows that do not lie one after another. A transposed matrix needs nearly all of
 * its storage for any row; the largest seen, 267,744 x 1,024 words, has 1.1 GB and is never stored so.
 */
const MAX_STRIDED_BYTES = 512 * 2 ** 20;

/** Number of elements of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** Strides of a row-major tensor. */
export function rowMajorStrides(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/**
 * Reads the record of a tensor and checks that all of its elements lie within its storage.
 *
 * @param container - the file
 * @param name - name in the state dict
 * @param value - what the state dict holds under that name
 * @throws {@link CheckpointError} `CHECKPOINT_TENSOR`
 */
export function storedTensor(container: TorchContainer, name: string, value: PyValue): StoredTensor {
  const { path } = container.file;
  const fail = (problem: string): CheckpointError =>
    new CheckpointError('CHECKPOINT_TENSOR', `${path}: ${name}: ${problem}`, {
      hint: 'Save the checkpoint again with torch, every parameter as an ordinary dense tensor.',
      details: { path, tensor: name },
    });
  const [reference, offset, shape, strides] = tensorArguments(value, fail);
  if (!(reference instanceof PyReference)) throw fail(`its storage is ${describeValue(reference)}`);
  if (!isCount(offset) || !isCounts(shape) || !isCounts(strides) || shape.length !== strides.length) {
    throw fail('its offset, shape or strides are not whole numbers');
  }
  const named = storageReference(path, reference);
  if (named.type === undefined) throw fail(`its storage has the unknown type ${named.className}`);
  const storage = container.storages.get(named.key);
  if (storage === undefined) throw fail(`its storage ${named.key} is not in the file`);
  const tensor: StoredTensor = {
    name,
    type: named.type,
    shape,
    strides,
    offset: offset + named.viewOffset,
    storageKey: named.key,
    storage,
  };
  checkBounds(tensor, fail);
  return tensor;
}

/** The arguments of `_rebuild_tensor_v2`, inside what wraps it for parameters and subclasses (torch/_utils.py). */
function tensorArguments(value: PyValue, fail: (problem: string) => CheckpointError): readonly PyValue[] {
  let record = value;
  for (let depth = 0; depth < 4 && record instanceof PyObject; depth++) {
    const { path, args } = record;
    if (path === 'torch._utils._rebuild_tensor_v2' || path === 'torch._utils._rebuild_tensor') return args;
    if (path === 'torch._utils._rebuild_parameter') record = args[0] ?? null;
    else if (path === 'torch._tensor._rebuild_from_type_v2' && Array.isArray(args[2])) {
      record = new PyObject(args[0], args[2]);
    } else break;
  }
  throw fail(`a dense tensor is expected, not ${describeValue(record)}`);
}

function isCounts(value: PyValue | undefined): value is number[] {
  return Array.isArray(value) && value.length <= MAX_AXES && value.every(isCount);
}

function checkBounds(tensor: StoredTensor, fail: (problem: string) => CheckpointError): void {
  const { shape, strides, offset, storage, type } = tensor;
  const available = Math.floor(storage.byteLength / elementBytes[type]);
  const count = elementCount(shape);
  const last = shape.reduce((sum, length, axis) => sum + (length - 1) * strides[axis], offset);
  if (count > 0 && (last >= available || count > available)) {
    // More elements than the storage has is legal for torch (a broadcast), but never so for a parameter.
    throw fail(
      `shape [${shape.join(', ')}] with strides [${strides.join(', ')}] from element ${offset} on needs more than its storage of ${available} elements`,
    );
  }
}

/** Whether the rows lie one after another, each in row-major order. */
function isRowMajor({ shape, strides }: StoredTensor): boolean {
  const expected = rowMajorStrides(shape);
  return shape.every((length, axis) => length <= 1 || strides[axis] === expected[axis]);
}

/**
 * Reads rows of a tensor as float32, in row-major order whatever the strides are.
 *
 * @param container - the open file
 * @param tensor - the tensor
 * @param startRow - first row
 * @param rowCount - number of rows
 * @returns `[rowCount, ...shape.slice(1)]`
 * @throws {@link CheckpointError} `CHECKPOINT_ROWS`, `CHECKPOINT_DTYPE` or `CHECKPOINT_STRIDES`
 */
export function readRows(
  container: TorchContainer,
  tensor: StoredTensor,
  startRow = 0,
  rowCount = (tensor.shape[0] ?? 1) - startRow,
): Float32Array {
  const { file } = container;
  const { name, type, shape, strides } = tensor;
  const rows = shape[0] ?? 1;
  const details = { path: file.path, tensor: name };
  if (!isCount(startRow) || !isCount(rowCount) || startRow + rowCount > rows) {
    throw new CheckpointError(
      'CHECKPOINT_ROWS',
      `${file.path}: ${name} has ${rows} rows; rows ${startRow} to ${startRow + rowCount} are asked for`,
      { details },
    );
  }
  if (!isFloat(type)) {
    throw new CheckpointError('CHECKPOINT_DTYPE', `${file.path}: ${name} holds ${type}, not floats`, {
      details,
    });
  }
  const rowShape = [rowCount, ...shape.slice(1)];
  const count = elementCount(rowShape);
  if (count === 0) return new Float32Array(0);
  const first = tensor.offset + startRow * (strides[0] ?? 0);
  const rowMajor = isRowMajor(tensor);
  const span = rowMajor
    ? count
    : 1 + rowShape.reduce((sum, length, axis) => sum + (length - 1) * strides[axis], 0);
  if (!rowMajor && span * elementBytes[type] > MAX_STRIDED_BYTES) {
    throw new CheckpointError(
      'CHECKPOINT_STRIDES',
      `${file.path}: ${name} is not contiguous (strides [${strides.join(', ')}]) and too large to rearrange`,
      { hint: 'Save the checkpoint again with contiguous tensors.', details },
    );
  }
  const byteOffset = tensor.storage.byteOffset + first * elementBytes[type];
  const elements = float32FromBytes(file.readBytes(byteOffset, span * elementBytes[type]), type);
  return rowMajor ? elements : gather(elements, rowShape, strides);
}

/** Copies a strided view into row-major order. */
function gather(source: Float32Array, shape: readonly number[], strides: readonly number[]): Float32Array {
  const target = new Float32Array(elementCount(shape));
  const index = new Array<number>(shape.length).fill(0);
  let at = 0;
  for (let i = 0; i < target.length; i++) {
    target[i] = source[at];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) break;
      at -= shape[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return target;
}

/** The only element of a tensor, whatever its type. */
export function readScalar(container: TorchContainer, tensor: StoredTensor): number {
  if (elementCount(tensor.shape) !== 1 || !isFloat(tensor.type)) {
    throw new CheckpointError(
      'CHECKPOINT_TENSOR',
      `${container.file.path}: ${tensor.name}: one float is expected, not ${tensor.type} [${tensor.shape.join(', ')}]`,
      { details: { path: container.file.path, tensor: tensor.name } },
    );
  }
  return readRows(container, tensor)[0];
}
