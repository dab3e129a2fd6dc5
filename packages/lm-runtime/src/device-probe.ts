// A program: opens a session with a tiny graph on the device named by the argument, and prints `works`, or `fails` and why.
import { writeSync } from 'node:fs';
import { encodeModel, GraphBuilder } from '@knn-lm/checkpoint';
import * as ort from 'onnxruntime-node';

const device = process.argv[2];
ort.env.logLevel = 'fatal';

/** One multiplication: enough for a provider to be started. */
function tinyGraph(): Uint8Array {
  const builder = new GraphBuilder();
  const x = builder.input('x', 'float32', [1]);
  const product = builder.node('Mul', [x, builder.floats(2)]);
  const graph = builder.finish('probe', [{ name: 'y', type: 'float32', shape: [1], from: product }]);
  return encodeModel({ graph, operatorSets: { '': 21 }, metadata: {} });
}

async function probe(): Promise<void> {
  const backend = ort.listSupportedBackends().find(({ name }) => name === device);
  if (backend === undefined) throw new Error(`this build of ONNX Runtime does not have it`);
  const session = await ort.InferenceSession.create(tinyGraph(), {
    executionProviders: [device, 'cpu'],
    logSeverityLevel: 4,
  });
  const { y } = await session.run({ x: new ort.Tensor('float32', Float32Array.of(3), [1]) });
  if (y.data[0] !== 6) throw new Error(`it computes 3 * 2 = ${String(y.data[0])}`);
}

try {
  await probe();
  writeSync(1, 'works\n');
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  writeSync(1, `fails\n${message.replaceAll('\n', ' ')}\n`);
}
