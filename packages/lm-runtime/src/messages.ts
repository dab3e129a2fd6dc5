import type { RunFlags } from './exit-guard.js';

/** What the worker needs to open a session. */
export interface SessionSpecification {
  /** Path of the `.onnx` file. */
  readonly graph: string;
  /** Execution provider of ONNX Runtime: `cpu`, `cuda`, ... */
  readonly device: string;
  /** Threads that share one operation. */
  readonly threads: number;
}

/** What the worker is started with. */
export interface WorkerStart {
  /** The session to open. */
  readonly specification: SessionSpecification;
  /** Shared with the thread that started it. */
  readonly flags: RunFlags;
}

/** One run, as it is sent to the worker. */
export interface RunRequest {
  /** Number of windows (B). */
  readonly rows: number;
  /** Length of the windows (T). */
  readonly width: number;
  /** `[rows, width]`. */
  readonly tokens: Int32Array;
  /** Wanted positions `[n]`. */
  readonly positions: Int32Array;
  /** Target of each wanted position `[n]`; only for a graph that scores. */
  readonly targets: Int32Array | undefined;
  /** Rows of logits in memory at a time. */
  readonly softmaxBatch: number;
  /** Receives the keys, `[n, dimension]`; half precision as 16-bit patterns. */
  readonly keys: Uint16Array | Float32Array;
}

/** What one run gives. */
export interface RunResponse {
  /** The array of the request, filled. */
  readonly keys: Uint16Array | Float32Array;
  /** `[n]`, only for a graph that scores. */
  readonly logProbs: Float32Array | undefined;
}

/** From the main thread to the worker. */
export type WorkerRequest =
  { readonly type: 'run'; readonly id: number; readonly request: RunRequest } | { readonly type: 'close' };

/** From the worker to the main thread. */
export type WorkerMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'refused'; readonly message: string }
  | { readonly type: 'done'; readonly id: number; readonly response: RunResponse }
  | { readonly type: 'failed'; readonly id: number; readonly message: string };
