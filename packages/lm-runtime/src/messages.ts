import type { RunFlags } from './exit-guard.js';

/** A graph to load: its bytes, and the folder that its external data is in. */
export interface GraphSource {
  /** What it is called in messages. */
  readonly name: string;
  /** The content of an `.onnx` file. */
  readonly bytes: Uint8Array;
  /** Where its external data lies. */
  readonly folder: string;
}

/** What the worker needs to open a session. */
export interface SessionSpecification {
  /** What to load. */
  readonly graph: GraphSource;
  /** Execution provider of ONNX Runtime: `cpu`, `cuda`, ... */
  readonly device: string;
  /** Threads that share one operation. */
  readonly threads: number;
  /** What stays in the worker from step to step, where rows are continued. */
  readonly cache?: CacheLayout | undefined;
}

/** An output that is an input of the next step. */
export interface CacheSlot {
  /** Name of the input. */
  readonly input: string;
  /** Name of the output. */
  readonly output: string;
  /** What a new row is fed. */
  readonly empty: TensorMessage;
}

/** The keys and values of a row: outputs that `replace` those of the step before, or are to be put behind them. */
export interface CacheLayout {
  /**
   * `append`: outputs are float32 `[S, heads * width]` of the step's tokens, inputs `[1, heads, capacity, width]`;
   * `replace`: outputs are the inputs of the next step.
   */
  readonly kind: 'append' | 'replace';
  /** Keys and values of each layer. */
  readonly slots: readonly CacheSlot[];
}

/** The row that a step continues. */
export interface CacheUse {
  /** Its number. */
  readonly row: number;
  /** Tokens before this step; 0 begins anew. */
  readonly length: number;
}

/** What the worker is started with. */
export interface WorkerStart {
  /** The session to open. */
  readonly specification: SessionSpecification;
  /** Shared with the thread that started it. */
  readonly flags: RunFlags;
}

/** Elements of a tensor; half precision as 16-bit patterns. */
export type TensorData = Int32Array | BigInt64Array | Float32Array | Uint16Array;

/** A tensor on its way to the worker or back. */
export interface TensorMessage {
  /** Elements in row-major order. */
  readonly data: TensorData;
  /** Length of each axis. */
  readonly shape: readonly number[];
}

/** One run, as it is sent to the worker. */
export interface RunRequest {
  /** Inputs by name. */
  readonly feeds: Readonly<Record<string, TensorMessage>>;
  /** Wanted outputs by name, each with the array that receives it, or `undefined` where its size is not known. */
  readonly fetches: Readonly<Record<string, TensorMessage | undefined>>;
  /** The row that it continues. */
  readonly cache?: CacheUse | undefined;
}

/** The outputs of one run by name; an array of the request that was filled, or a new one. */
export type RunResponse = Readonly<Record<string, TensorMessage>>;

/** From the main thread to the worker. */
export type WorkerRequest =
  | { readonly type: 'run'; readonly id: number; readonly request: RunRequest }
  | { readonly type: 'forget'; readonly row: number }
  | { readonly type: 'close' };

/** From the worker to the main thread. */
export type WorkerMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'refused'; readonly message: string }
  | { readonly type: 'done'; readonly id: number; readonly response: RunResponse }
  | { readonly type: 'failed'; readonly id: number; readonly message: string };
