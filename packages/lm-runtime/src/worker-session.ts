import { Worker } from 'node:worker_threads';
import { LmRuntimeError } from './errors.js';
import { createRunFlags, guardAtExit } from './exit-guard.js';
import type {
  RunRequest,
  RunResponse,
  SessionSpecification,
  WorkerMessage,
  WorkerRequest,
  WorkerStart,
} from './messages.js';

/** The built worker beside this file; when this file itself runs unbuilt (tests), that of the last build. */
const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? '../dist/session-worker.js' : './session-worker.js',
  import.meta.url,
);

/** The thread makes few objects beside its tensors, which are not in the heap: 48 MB for new ones would only fill up. */
const resourceLimits = { maxYoungGenerationSizeMb: 4 };

interface PendingRun {
  readonly resolve: (response: RunResponse) => void;
  readonly reject: (error: Error) => void;
}

/** An ONNX Runtime session in a thread of its own. Runs queue there, one after the other. */
export class WorkerSession {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingRun>();
  readonly #exited: Promise<void>;
  #nextId = 0;
  #failure: LmRuntimeError | undefined;
  #closing = false;

  private constructor(worker: Worker, unguard: () => void) {
    this.#worker = worker;
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    worker.on('error', (cause) =>
      this.#fail(`the thread that runs the model failed: ${cause.message}`, cause),
    );
    worker.on('exit', () => {
      unguard();
      this.#fail('the thread that runs the model has ended');
    });
  }

  /**
   * Starts the thread and opens the session there.
   *
   * @param specification - graph, device, threads
   * @throws {@link LmRuntimeError} `SESSION_FAILED` when ONNX Runtime cannot load the graph on that device
   */
  static async open(specification: SessionSpecification): Promise<WorkerSession> {
    // From 1.29 on ONNX Runtime sends telemetry unless this is set in the process before it is loaded.
    process.env['ORT_DISABLE_TELEMETRY'] = '1';
    const flags = createRunFlags();
    const workerData: WorkerStart = { specification, flags };
    // Flags of this process, such as --input-type, may not fit a worker.
    const worker = new Worker(workerFile, { workerData, execArgv: [], resourceLimits });
    const session = new WorkerSession(worker, guardAtExit(flags));
    const refusal = await new Promise<string | undefined>((resolve) => {
      worker.once('message', (message: WorkerMessage) =>
        resolve(message.type === 'refused' ? message.message : undefined),
      );
      worker.once('error', (cause) => resolve(cause.message));
    });
    if (refusal !== undefined) {
      await session.close();
      const { graph, device } = specification;
      throw new LmRuntimeError('SESSION_FAILED', `cannot load ${graph.name} on the ${device}: ${refusal}`, {
        hint:
          device === 'cpu'
            ? 'A damaged model folder is made again when it is removed; an .onnx file must be one that ONNX Runtime 1.27 can run.'
            : 'Use --device cpu.',
        details: { graph: graph.name, device },
      });
    }
    worker.on('message', (message: WorkerMessage) => session.#receive(message));
    // An idle session does not keep the process alive; a run does.
    worker.unref();
    return session;
  }

  /**
   * Runs the graph.
   *
   * @param request - inputs, and where outputs go; the arrays go to the worker and can no longer be used here
   * @throws {@link LmRuntimeError} `RUN_FAILED`, `WORKER_FAILED`, `CLOSED`
   */
  run(request: RunRequest): Promise<RunResponse> {
    if (this.#closing) return Promise.reject(new LmRuntimeError('CLOSED', 'the language model is closed'));
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const tensors = [...Object.values(request.feeds), ...Object.values(request.fetches)];
    const buffers = tensors.flatMap((tensor) =>
      tensor === undefined ? [] : (tensor.data.buffer as ArrayBuffer),
    );
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.ref();
      this.#send({ type: 'run', id, request }, [...new Set(buffers)]);
    });
  }

  /** Frees what was kept of a row of tokens. */
  forget(row: number): void {
    if (!this.#closing) this.#send({ type: 'forget', row });
  }

  /** Lets the runs that were asked for finish, then ends the thread: stopping it within a run aborts the process. */
  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#worker.ref();
      this.#send({ type: 'close' });
    }
    await this.#exited;
  }

  #send(message: WorkerRequest, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #receive(message: WorkerMessage): void {
    if (message.type !== 'done' && message.type !== 'failed') return;
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (this.#pending.size === 0 && !this.#closing) this.#worker.unref();
    if (message.type === 'done') return pending?.resolve(message.response);
    pending?.reject(
      new LmRuntimeError('RUN_FAILED', `the model could not be run: ${message.message}`, {
        hint: 'With too little memory, use smaller batches (--max-tokens) or a smaller --softmax-batch.',
      }),
    );
  }

  #fail(message: string, cause?: unknown): void {
    this.#failure ??= new LmRuntimeError('WORKER_FAILED', message, { cause });
    for (const { reject } of this.#pending.values()) reject(this.#failure);
    this.#pending.clear();
  }
}
