import type { TaskOptions } from '@knn-lm/common';
import type { LmArchitecture } from './architecture.js';

/** Element types of the tensors in a checkpoint that can be read as float32. */
export type FloatDtype = 'float32' | 'float16' | 'bfloat16' | 'float64';

/** One parameter of the model, under fairseq's current name; its data is read when asked for. */
export interface CheckpointTensor {
  /** fairseq's name, such as `decoder.layers.0.fc1.weight`. */
  readonly name: string;
  /** Element type in the file. */
  readonly dtype: FloatDtype;
  /** Length of each axis. */
  readonly shape: readonly number[];
  /**
   * Name of the tensor earlier in the map that has the same elements: the same memory in the file, or tied by the
   * architecture. `undefined` for a tensor of its own.
   */
  readonly tiedTo: string | undefined;
  /**
   * Reads rows (the first axis) in row-major order, widened or rounded to float32.
   *
   * @param startRow - first row; 0 when left out
   * @param rowCount - number of rows; all that follow when left out
   * @returns `[rowCount, ...shape.slice(1)]`
   * @throws {@link CheckpointError} when the rows are not there or the file cannot be read
   */
  readFloat32(startRow?: number, rowCount?: number): Float32Array;
}

/** An open checkpoint: its architecture and its tensors, all of them checked, none of them read. */
export interface Checkpoint {
  /** Path as given. */
  readonly path: string;
  /** `zip` since torch 1.6, `legacy` before. */
  readonly format: 'zip' | 'legacy';
  /** Size of the file in bytes. */
  readonly byteLength: number;
  /** What the model computes. */
  readonly config: LmArchitecture;
  /** The parameters of {@link expectedTensors}, exactly these, in its order. */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /**
   * Reads all tensors' bytes and compares them with the checksums in the file, of which the legacy format has none.
   *
   * @param task - cancellation and progress
   * @throws {@link CheckpointError} `CHECKPOINT_CHECKSUM`
   */
  verify(task?: TaskOptions): Promise<void>;
  /** Closes the file; the tensors cannot be read after this. */
  close(): void;
}

/** Where a tensor lies in the weights file; tied tensors have the same place. Elements are little-endian float32. */
export interface WeightEntry {
  /** Length of each axis. */
  readonly shape: readonly number[];
  /** First byte in the weights file; a multiple of 64. */
  readonly byteOffset: number;
  /** Four times the number of elements. */
  readonly byteLength: number;
  /** SHA-256 (hex) of the bytes. */
  readonly sha256: string;
}

/** The checkpoint that a model folder was made from. */
export interface ModelSource {
  /** Name of the file, without its folder. */
  readonly name: string;
  /** Size in bytes. */
  readonly byteLength: number;
  /** Time of its last change, in milliseconds since 1970. */
  readonly modifiedMs: number;
  /** SHA-256 (hex) of its bytes. */
  readonly sha256: string;
  /** Settings that were used in place of its own. */
  readonly modelOverrides: Readonly<Record<string, unknown>>;
}

/** A complete, checked model folder. */
export interface ModelFolder {
  /** Path of the folder. */
  readonly folder: string;
  /** What the model computes. */
  readonly architecture: LmArchitecture;
  /** Name of the weights file in the folder, for the `location` of external data. */
  readonly weightsFile: string;
  /** Every parameter by name. */
  readonly weights: ReadonlyMap<string, WeightEntry>;
  /**
   * SHA-256 (hex) of what the model computes: the architecture and the parameters in float32. The format of the
   * checkpoint and its longest input play no part.
   */
  readonly fingerprint: string;
  /** Number of parameters, tied ones counted once. */
  readonly parameters: number;
  /** Where it came from. */
  readonly source: ModelSource;
}
