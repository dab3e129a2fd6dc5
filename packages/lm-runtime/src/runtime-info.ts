import { createRequire } from 'node:module';
import { probeDevice } from './probe-device.js';

/** A device that the installed ONNX Runtime was built for. */
export interface DeviceInfo {
  /** Its name, as `--device` takes it. */
  readonly name: string;
  /** Whether a tiny model has run on it just now. */
  readonly works: boolean;
  /** Why it has not. */
  readonly reason?: string | undefined;
}

/** Which ONNX Runtime is in use, and where it can run a model. */
export interface RuntimeInfo {
  /** Version of onnxruntime-node. */
  readonly version: string;
  /** The CPU first. */
  readonly devices: readonly DeviceInfo[];
}

/**
 * Says which ONNX Runtime is installed and tries each of its devices, in processes of their own: drivers that are missing
 * or broken may end the process that tries them.
 *
 * @example
 * ```ts
 * const { devices } = await runtimeInfo();
 * console.log(devices.filter(({ works }) => works).map(({ name }) => name));
 * ```
 */
export async function runtimeInfo(): Promise<RuntimeInfo> {
  const { listSupportedBackends } = await import('onnxruntime-node');
  const names = listSupportedBackends().map(({ name }) => name);
  const devices = await Promise.all(
    [...new Set(['cpu', ...names])].map(async (name): Promise<DeviceInfo> => {
      const reason = await probeDevice(name);
      return reason === undefined ? { name, works: true } : { name, works: false, reason };
    }),
  );
  const manifest = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  return { version: manifest.version, devices };
}
