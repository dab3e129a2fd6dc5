import type { LmArchitecture } from './architecture.js';
import type { TorchContainer } from './container/container.js';
import { isFloat } from './container/element-types.js';
import { readRows, type StoredTensor } from './container/stored-tensor.js';
import { CheckpointError } from './errors.js';
import { expectedTensors, tiedTensors } from './tensor-names.js';
import type { CheckpointTensor } from './weights.js';

/** A tensor of the file under its current name; one third of its rows when it is a part of a fused projection. */
export interface NamedTensor {
  /** The tensor in the file. */
  readonly tensor: StoredTensor;
  /** Which third of its rows: 0, 1 or 2, or all of it. */
  readonly third: number | undefined;
}

/**
 * Pairs the tensors of the file with those that the architecture needs: none missing, none left over, all shapes equal.
 *
 * @param container - the open file
 * @param architecture - the model
 * @param found - tensors by current name
 * @returns the parameters in the architecture's order
 * @throws {@link CheckpointError} `CHECKPOINT_TENSOR_MISSING`, `CHECKPOINT_TENSOR_UNEXPECTED`,
 * `CHECKPOINT_TENSOR_SHAPE`, `CHECKPOINT_DTYPE`
 */
export function matchTensors(
  container: TorchContainer,
  architecture: LmArchitecture,
  found: ReadonlyMap<string, NamedTensor>,
): Map<string, CheckpointTensor> {
  const expected = expectedTensors(architecture);
  const tied = tiedTensors(architecture);
  const complete = withSharedOutput(found, tied);
  const { path } = container.file;
  refuseUnexpected(path, complete, expected);
  const tensors = new Map<string, CheckpointTensor>();
  const owners = new Map<string, string>();
  for (const [name, shape] of expected) {
    const entry = complete.get(name);
    if (entry === undefined) throw missing(path, name, shape);
    checkShape(path, name, entry, shape);
    const place = placeOf(entry, shape);
    const tiedTo = owners.get(place) ?? tied.get(name);
    if (tiedTo === undefined) owners.set(place, name);
    tensors.set(name, checkpointTensor(container, name, entry, shape, tiedTo));
  }
  return tensors;
}

/** A shared output matrix may be left out of the file; it is the embedding's then. */
function withSharedOutput(
  found: ReadonlyMap<string, NamedTensor>,
  tied: ReadonlyMap<string, string>,
): Map<string, NamedTensor> {
  const complete = new Map(found);
  const output = 'decoder.output_projection.weight';
  const embedding = found.get(tied.get(output) ?? '');
  if (!complete.has(output) && embedding !== undefined) complete.set(output, embedding);
  return complete;
}

function refuseUnexpected(
  path: string,
  found: ReadonlyMap<string, NamedTensor>,
  expected: ReadonlyMap<string, readonly number[]>,
): void {
  for (const [name, { tensor }] of found) {
    if (expected.has(name)) continue;
    throw new CheckpointError(
      'CHECKPOINT_TENSOR_UNEXPECTED',
      `${path}: ${tensor.name} (shape [${tensor.shape.join(', ')}]) does not belong to the model that the settings describe`,
      {
        hint: 'The model is of a kind that is not supported, or the settings were changed; see --model-overrides.',
        details: { path, tensor: tensor.name },
      },
    );
  }
}

function missing(path: string, name: string, shape: readonly number[]): CheckpointError {
  return new CheckpointError(
    'CHECKPOINT_TENSOR_MISSING',
    `${path}: ${name} (shape [${shape.join(', ')}]) is missing`,
    {
      hint: 'The model is of a kind that is not supported, or the settings were changed; see --model-overrides.',
      details: { path, tensor: name },
    },
  );
}

function checkShape(path: string, name: string, entry: NamedTensor, shape: readonly number[]): void {
  const { tensor, third } = entry;
  const expected = third === undefined ? shape : [3 * shape[0], ...shape.slice(1)];
  if (tensor.shape.join() !== expected.join()) {
    throw new CheckpointError(
      'CHECKPOINT_TENSOR_SHAPE',
      `${path}: ${tensor.name} has shape [${tensor.shape.join(', ')}], but [${expected.join(', ')}] is expected`,
      {
        hint: 'The settings in the checkpoint do not fit its weights; check --model-overrides.',
        details: { path, tensor: name, found: tensor.shape.join(), expected: expected.join() },
      },
    );
  }
  if (!isFloat(tensor.type)) {
    throw new CheckpointError(
      'CHECKPOINT_DTYPE',
      `${path}: ${tensor.name} holds ${tensor.type}, but float16, bfloat16, float32 or float64 is expected`,
      { hint: 'Quantized checkpoints are not supported.', details: { path, tensor: name } },
    );
  }
}

/** Identity of the memory that a tensor occupies: equal for tensors that are tied in the file. */
function placeOf({ tensor, third }: NamedTensor, shape: readonly number[]): string {
  const { storageKey, offset, strides } = tensor;
  return [storageKey, offset, third ?? 0, shape.join('x'), strides.join('x')].join(':');
}

function checkpointTensor(
  container: TorchContainer,
  name: string,
  { tensor, third }: NamedTensor,
  shape: readonly number[],
  tiedTo: string | undefined,
): CheckpointTensor {
  if (!isFloat(tensor.type)) throw new TypeError(`${name} was not checked`);
  const firstRow = (third ?? 0) * shape[0];
  return {
    name,
    dtype: tensor.type,
    shape,
    tiedTo,
    readFloat32: (startRow = 0, rowCount = shape[0] - startRow) => {
      if (startRow + rowCount > shape[0]) {
        throw new CheckpointError(
          'CHECKPOINT_ROWS',
          `${container.file.path}: ${name} has ${shape[0]} rows; rows ${startRow} to ${startRow + rowCount} are asked for`,
          { details: { path: container.file.path, tensor: name } },
        );
      }
      return readRows(container, tensor, firstRow + startRow, rowCount);
    },
  };
}
