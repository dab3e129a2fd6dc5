import { CheckpointError } from '../errors.js';

/** Makes the error for a pickle that breaks a rule, with the place in the file. */
export type PickleFailure = (code: string, problem: string, byteOffset?: number) => CheckpointError;

/**
 * @param path - the file, for the message
 * @param where - default of the place
 */
export function pickleFailure(path: string, where: () => number): PickleFailure {
  return (code, problem, byteOffset = where()) =>
    new CheckpointError(code, `${path}: at byte ${byteOffset}: ${problem}`, {
      hint: 'The file is damaged or not a checkpoint; copy or download it again.',
      details: { path, byteOffset },
    });
}
