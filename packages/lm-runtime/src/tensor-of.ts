import * as ort from 'onnxruntime-node';
import type { TensorMessage } from './messages.js';

/** A tensor of ONNX Runtime, on the same memory. */
export function tensorOf({ data, shape }: TensorMessage): ort.Tensor {
  if (data instanceof Int32Array) return new ort.Tensor('int32', data, shape);
  if (data instanceof BigInt64Array) return new ort.Tensor('int64', data, shape);
  if (data instanceof Uint16Array) return new ort.Tensor('float16', data, shape);
  return new ort.Tensor('float32', data, shape);
}
