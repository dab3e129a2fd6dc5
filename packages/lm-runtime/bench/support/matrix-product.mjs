import { encodeModel, GraphBuilder } from '@knn-lm/checkpoint';
import * as ort from 'onnxruntime-node';
import { measure } from './measure.mjs';

/**
 * Speed of a product as large as those of the model, `[3072, 1024] x [1024, 4096]`, in ONNX Runtime.
 *
 * @returns billions of multiplications and additions a processor second
 */
export async function measureProduct(threads) {
  const [rows, inner, columns] = [3072, 1024, 4096];
  const builder = new GraphBuilder();
  const a = builder.input('a', 'float32', [rows, inner]);
  const b = builder.input('b', 'float32', [inner, columns]);
  const from = builder.node('MatMul', [a, b]);
  const graph = builder.finish('product', [{ name: 'c', type: 'float32', shape: [rows, columns], from }]);
  const session = await ort.InferenceSession.create(
    encodeModel({ graph, operatorSets: { '': 21 }, metadata: {} }),
    {
      intraOpNumThreads: threads,
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    },
  );
  const random = (length) => Float32Array.from({ length }, () => Math.random() - 0.5);
  const feeds = {
    a: new ort.Tensor('float32', random(rows * inner), [rows, inner]),
    b: new ort.Tensor('float32', random(inner * columns), [inner, columns]),
  };
  const products = 10;
  const { cpuSeconds } = await measure(4, async () => {
    for (let i = 0; i < products; i++) await session.run(feeds);
  });
  await session.release();
  return (products * 2 * rows * inner * columns) / cpuSeconds / 1e9;
}
