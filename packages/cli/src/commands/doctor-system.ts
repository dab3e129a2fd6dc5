import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, release } from 'node:os';
import { KnnLmError } from '@knn-lm/common';
import { distanceEngine } from '@knn-lm/datastore';
import { faissInfo } from '@knn-lm/index';
import { measureResources } from '@knn-lm/knn-lm';
import { runtimeInfo } from '@knn-lm/lm-runtime';
import { version } from '../terminal/version.js';

/** Instructions of the processor that the programs here have code for. */
const features = ['avx2', 'fma', 'f16c', 'avx512f', 'avx512_vnni', 'asimd'];

/** What `knn-lm doctor` says about the machine and what is installed. */
export async function describeSystem(folder: string) {
  const distances = distanceEngine();
  const runtime = await runtimeInfo();
  const resources = await measureResources(folder);
  return {
    versions: {
      knn_lm: version(),
      node: process.versions.node,
      onnxruntime: runtime.version,
    },
    system: { platform: platform(), release: release(), architecture: arch() },
    cpu: { model: cpus()[0]?.model ?? null, cores: availableParallelism(), features: cpuFeatures() },
    faiss: describeFaiss(),
    distances: { engine: distances.name, kernels: distances.kernels, reason: distances.reason ?? null },
    devices: runtime.devices.map(({ name, works, reason = null }) => ({ name, works, reason })),
    resources: {
      folder: resources.folder,
      disk_free_bytes: resources.diskFree,
      memory_available_bytes: resources.memoryAvailable,
      memory_total_bytes: resources.memoryTotal,
    },
  };
}

/** The machine, as `--json` prints it. */
export type System = Awaited<ReturnType<typeof describeSystem>>;

function describeFaiss() {
  try {
    const { version: found, optimization, openBlas = null } = faissInfo();
    return { version: found, optimization, open_blas: openBlas, problem: null };
  } catch (error) {
    if (!(error instanceof KnnLmError)) throw error;
    return { version: null, optimization: null, open_blas: null, problem: error.message };
  }
}

/** As Linux names them; null where the system does not tell. */
function cpuFeatures(): string[] | null {
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    const flags = new Set(line?.[1].trim().split(/\s+/));
    return features.filter((name) => flags.has(name));
  } catch {
    return null;
  }
}
