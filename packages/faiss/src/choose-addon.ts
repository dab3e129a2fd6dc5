import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What Faiss's AVX2 library is compiled for (its CMakeLists.txt), as Linux names it. */
const NEEDED_FLAGS = ['avx2', 'fma', 'f16c', 'popcnt'];

/** What the choice depends on; for tests. */
export interface ChoiceSurroundings {
  /** Environment variables: `KNN_LM_FAISS=debian` asks for the addon that runs everywhere. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Reads what Linux says about the processor. */
  readonly readProcessorInfo: () => string;
}

const surroundingsHere: ChoiceSurroundings = {
  environment: process.env,
  readProcessorInfo: () => readFileSync('/proc/cpuinfo', 'utf8'),
};

/**
 * Chooses between the two addons that a build leaves: `faiss-avx2.node` where it was made and this processor has AVX2,
 * `faiss.node` otherwise. A build folder may have moved to another machine, where the first would end the process
 * already while it is loaded.
 *
 * @param folder - the build folder
 * @returns path of the addon
 */
export function chooseAddon(folder: string, surroundings: ChoiceSurroundings = surroundingsHere): string {
  const fast = join(folder, 'faiss-avx2.node');
  const wanted = surroundings.environment['KNN_LM_FAISS'] !== 'debian';
  return wanted && existsSync(fast) && hasAvx2(surroundings) ? fast : join(folder, 'faiss.node');
}

function hasAvx2({ readProcessorInfo }: ChoiceSurroundings): boolean {
  try {
    const flags = /^flags\s*:(.*)$/m.exec(readProcessorInfo())?.[1].split(' ') ?? [];
    return NEEDED_FLAGS.every((flag) => flags.includes(flag));
  } catch {
    return false; // no /proc: nothing is known of the processor
  }
}
