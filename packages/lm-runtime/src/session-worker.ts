// Runs in a thread of its own: InferenceSession.run() blocks the thread that calls it.
import { parentPort, workerData } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import { markIdle, runGuarded } from './exit-guard.js';
import { freeBuffer } from './free-buffer.js';
import { hideFloat16Array } from './hide-float16-array.js';
import type {
  RunRequest,
  RunResponse,
  TensorData,
  WorkerMessage,
  WorkerRequest,
  WorkerStart,
} from './messages.js';
import { fatalOnly, sessionOptions } from './session-options.js';
import { StepCaches } from './step-cache.js';
import { tensorOf } from './tensor-of.js';

const port = parentPort;
if (port === null) throw new Error('this file runs in a worker thread');

hideFloat16Array();

ort.env.logLevel = 'fatal';

const { specification, flags } = workerData as WorkerStart;

const caches = specification.cache === undefined ? undefined : new StepCaches(specification.cache);

function send(message: WorkerMessage, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

async function openSession(): Promise<ort.InferenceSession | undefined> {
  const { graph, device } = specification;
  try {
    // An unknown provider would be dropped with a message on the console, and the CPU used.
    if (!ort.listSupportedBackends().some(({ name }) => name === device)) {
      throw new Error('this build of ONNX Runtime does not have it');
    }
    const session = await ort.InferenceSession.create(graph.bytes, sessionOptions(specification));
    send({ type: 'ready' });
    return session;
  } catch (error) {
    send({ type: 'refused', message: messageOf(error) });
    return undefined;
  }
}

/**
 * Feeds and fetches a run. What is fetched is written straight into the arrays that go back to the caller; the copies that
 * ONNX Runtime's binding makes of them all the same are freed, or those of 80 runs would lie around.
 */
async function run(
  session: ort.InferenceSession,
  { feeds, fetches, cache }: RunRequest,
): Promise<RunResponse> {
  const rows = cache === undefined ? undefined : caches;
  const inputs = Object.entries(feeds).map(([name, tensor]) => [name, tensorOf(tensor)] as const);
  const outputs = Object.entries(fetches).map(
    ([name, tensor]) => [name, tensor === undefined ? null : tensorOf(tensor)] as const,
  );
  if (cache !== undefined) inputs.push(...(rows?.inputs(cache) ?? []));
  outputs.push(...(rows?.outputs.map((name) => [name, null] as const) ?? []));
  const results = await session.run(Object.fromEntries(inputs), Object.fromEntries(outputs), {
    logSeverityLevel: fatalOnly,
  });
  if (cache !== undefined) rows?.keep(cache, results);
  const response = Object.entries(fetches).map(([name, tensor]) => {
    const { data, dims } = results[name];
    const { buffer } = data as TensorData;
    if (tensor !== undefined && buffer !== tensor.data.buffer) freeBuffer(buffer as ArrayBuffer);
    return [name, tensor ?? { data: data as TensorData, shape: dims }] as const;
  });
  return Object.fromEntries(response);
}

async function answer(session: ort.InferenceSession, id: number, request: RunRequest): Promise<void> {
  try {
    const response = await runGuarded(flags, () => run(session, request));
    if (response === undefined) return;
    const buffers = Object.values(response).map(({ data }) => data.buffer as ArrayBuffer);
    send({ type: 'done', id, response }, [...new Set(buffers)]);
  } catch (error) {
    send({ type: 'failed', id, message: messageOf(error) });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const session = await openSession();
markIdle(flags);
// One after the other: a session is never closed while it runs.
let last: Promise<void> = Promise.resolve();
port.on('message', (message: WorkerRequest) => {
  last = last.then(async () => {
    if (message.type === 'forget') return caches?.forget(message.row);
    if (message.type === 'run' && session !== undefined) return answer(session, message.id, message.request);
    await runGuarded(flags, async () => session?.release());
    port.close();
  });
});
