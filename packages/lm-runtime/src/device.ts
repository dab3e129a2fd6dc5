import { LmRuntimeError } from './errors.js';
import { probeDevice } from './probe-device.js';

/** Where a model runs: an execution provider of ONNX Runtime. */
export type Device = 'cpu' | 'cuda' | 'tensorrt' | 'webgpu' | 'dml' | 'coreml';

/** What a device needs, for those who have asked for it in vain. */
const needs: Readonly<Record<Device, string>> = {
  cpu: 'The CPU is always there; onnxruntime-node is not installed completely.',
  webgpu:
    'WebGPU comes with onnxruntime-node on Linux x64, Windows and macOS, and needs a graphics driver: on Linux one with Vulkan (libvulkan1 and the driver of the card; vulkaninfo shows both).',
  cuda: 'CUDA needs Linux x64, an NVIDIA card, CUDA 12 and cuDNN 9, and libraries that onnxruntime-node fetches when it is installed with: npm rebuild onnxruntime-node --onnxruntime-node-install=cuda12',
  tensorrt:
    'TensorRT needs Linux x64, an NVIDIA card, CUDA 12, TensorRT, and libraries that onnxruntime-node fetches when it is installed with: npm rebuild onnxruntime-node --onnxruntime-node-install=cuda12',
  dml: 'DirectML comes with onnxruntime-node on Windows only.',
  coreml: 'CoreML comes with onnxruntime-node on macOS only.',
};

/**
 * Makes sure that a device can be used, before a model is loaded for it.
 *
 * @param device - its name
 * @throws {@link LmRuntimeError} `DEVICE_UNKNOWN`; `DEVICE_UNAVAILABLE`, which says why and how to get it
 */
export async function requireDevice(device: string): Promise<Device> {
  if (!Object.hasOwn(needs, device)) {
    throw new LmRuntimeError('DEVICE_UNKNOWN', `no device ${device} is known`, {
      hint: `Choose one of ${Object.keys(needs).join(', ')}.`,
      details: { device },
    });
  }
  const known = device as Device;
  if (known === 'cpu') return known;
  const problem = await probeDevice(known);
  if (problem === undefined) return known;
  throw new LmRuntimeError('DEVICE_UNAVAILABLE', `the device ${device} cannot be used: ${problem}`, {
    hint: `${needs[known]} Or use --device cpu.`,
    details: { device },
  });
}
