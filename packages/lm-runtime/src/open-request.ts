import { availableParallelism } from 'node:os';
import type { Precision } from '@knn-lm/checkpoint';
import { requireDevice, type Device } from './device.js';
import { LmRuntimeError } from './errors.js';
import type { ModelOptions } from './model-options.js';
import type { ModelRequest } from './prepared-model.js';

/** What is asked of a model, checked and with defaults, and a device that works. */
export interface OpenRequest {
  /** What is wanted of the model. */
  readonly request: ModelRequest;
  /** Where it runs. */
  readonly device: Device;
}

/**
 * Checks the options that all ways of opening a model have.
 *
 * @param options - as they were given
 * @param keysDtype - precision of the hidden states
 * @throws LmRuntimeError `OPTION_INVALID`, `DEVICE_UNKNOWN`, `DEVICE_UNAVAILABLE`
 */
export async function checkOptions(
  options: ModelOptions,
  purpose: ModelRequest['purpose'],
  keysDtype: ModelRequest['keysDtype'],
): Promise<OpenRequest> {
  const request: ModelRequest = {
    ...options,
    purpose,
    keysDtype,
    precision: checkPrecision(options.precision ?? 'fp32'),
    threads: positiveInteger('threads', options.threads) ?? availableParallelism(),
    softmaxBatch: positiveInteger('softmaxBatch', options.softmaxBatch),
  };
  return { request, device: await requireDevice(options.device ?? 'cpu') };
}

function checkPrecision(precision: string): Precision {
  if (precision === 'fp32' || precision === 'int8') return precision;
  throw new LmRuntimeError('OPTION_INVALID', `precision is ${precision}; fp32 or int8 is expected`, {
    details: { precision },
  });
}

/**
 * A number of things, where it is given.
 *
 * @throws LmRuntimeError `OPTION_INVALID`
 */
export function positiveInteger(name: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value > 0)) return value;
  throw new LmRuntimeError('OPTION_INVALID', `${name} is ${value}; a positive whole number is expected`, {
    details: { [name]: value },
  });
}
