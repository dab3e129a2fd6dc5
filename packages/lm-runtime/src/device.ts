import { silentLogger, type Logger } from '@knn-lm/common';
import { LmRuntimeError } from './errors.js';
import type { SessionSpecification } from './messages.js';
import { WorkerSession } from './worker-session.js';

/** Where a model runs. What is not available on a machine falls back to the CPU with a warning. */
export type Device = 'cpu' | 'cuda' | 'tensorrt' | 'webgpu' | 'dml' | 'coreml';

const devices: readonly string[] = ['cpu', 'cuda', 'tensorrt', 'webgpu', 'dml', 'coreml'] satisfies Device[];

/**
 * Opens a session on the wanted device, or on the CPU where that device is not available.
 *
 * @param specification - graph, wanted device, threads
 * @param logger - hears in one line when the CPU is used instead
 * @returns the session, and the device that it runs on
 * @throws {@link LmRuntimeError} `DEVICE_UNKNOWN`, `SESSION_FAILED`
 */
export async function openOnDevice(
  specification: SessionSpecification,
  logger: Logger = silentLogger,
): Promise<{ session: WorkerSession; device: Device }> {
  const device = checkDevice(specification.device);
  if (device !== 'cpu') {
    try {
      return { session: await WorkerSession.open(specification), device };
    } catch {
      logger.warn(`device ${device} is not available on this machine, the CPU is used`);
    }
  }
  return { session: await WorkerSession.open({ ...specification, device: 'cpu' }), device: 'cpu' };
}

function checkDevice(device: string): Device {
  if (devices.includes(device)) return device as Device;
  throw new LmRuntimeError('DEVICE_UNKNOWN', `no device ${device} is known`, {
    hint: `Choose one of ${devices.join(', ')}.`,
    details: { device },
  });
}
