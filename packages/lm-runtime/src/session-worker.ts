// Runs in a thread of its own: InferenceSession.run() blocks the thread that calls it.
import { parentPort, workerData } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import { markIdle, runGuarded } from './exit-guard.js';
import type { RunRequest, RunResponse, WorkerMessage, WorkerRequest, WorkerStart } from './messages.js';

const port = parentPort;
if (port === null) throw new Error('this file runs in a worker thread');

/** ONNX Runtime prints its messages on stderr below this; what fails is thrown as well. */
const fatalOnly = 4;
ort.env.logLevel = 'fatal';

const { specification, flags } = workerData as WorkerStart;

function send(message: WorkerMessage, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

async function openSession(): Promise<ort.InferenceSession | undefined> {
  const { graph, device, threads } = specification;
  try {
    // An unknown provider would be dropped with a message on the console, and the CPU used.
    if (!ort.listSupportedBackends().some(({ name }) => name === device)) {
      throw new Error('this build of ONNX Runtime does not have it');
    }
    const session = await ort.InferenceSession.create(graph, {
      executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
      intraOpNumThreads: threads,
      graphOptimizationLevel: 'all',
      // Threads that spin while they wait cost 3/4 of the speed when anything else runs, such as a search, and gain 8 to
      // 19 % when nothing does (2 cores, 5 million parameters).
      extra: { session: { intra_op: { allow_spinning: '0' } } },
      logSeverityLevel: fatalOnly,
    });
    send({ type: 'ready' });
    return session;
  } catch (error) {
    send({ type: 'refused', message: messageOf(error) });
    return undefined;
  }
}

/** Feeds and fetches a run. The keys are written straight into the array that goes back to the caller. */
async function run(session: ort.InferenceSession, request: RunRequest): Promise<RunResponse> {
  const { rows, width, tokens, positions, targets, softmaxBatch, keys } = request;
  const n = positions.length;
  const feeds: Record<string, ort.Tensor> = {
    tokens: new ort.Tensor('int32', tokens, [rows, width]),
    rows: new ort.Tensor('int32', positions, [n]),
  };
  const keysType = keys instanceof Uint16Array ? 'float16' : 'float32';
  const fetches: Record<string, ort.Tensor> = { keys: new ort.Tensor(keysType, keys, [n, keys.length / n]) };
  const logProbs = targets === undefined ? undefined : new Float32Array(n);
  if (targets !== undefined && logProbs !== undefined) {
    feeds['targets'] = new ort.Tensor('int32', targets, [n]);
    feeds['softmax_batch'] = new ort.Tensor('int64', BigInt64Array.of(BigInt(softmaxBatch)), []);
    fetches['log_probs'] = new ort.Tensor('float32', logProbs, [n]);
  }
  await session.run(feeds, fetches, { logSeverityLevel: fatalOnly });
  return { keys, logProbs };
}

async function answer(session: ort.InferenceSession, id: number, request: RunRequest): Promise<void> {
  try {
    const response = await runGuarded(flags, () => run(session, request));
    if (response === undefined) return;
    const arrays = [response.keys, ...(response.logProbs === undefined ? [] : [response.logProbs])];
    send(
      { type: 'done', id, response },
      arrays.map((array) => array.buffer as ArrayBuffer),
    );
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
    if (message.type === 'run' && session !== undefined) return answer(session, message.id, message.request);
    await runGuarded(flags, async () => session?.release());
    port.close();
  });
});
