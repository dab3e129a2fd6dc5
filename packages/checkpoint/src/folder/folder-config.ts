import type { LmArchitecture } from '../architecture.js';
import type { ModelSource, WeightEntry } from '../weights.js';
import { folderLayout } from './layout.js';

/** The content of `config.json`. */
export interface FolderConfig {
  /** {@link folderLayout.format} */
  readonly format: string;
  /** {@link folderLayout.version} */
  readonly version: number;
  /** What the model computes. */
  readonly architecture: LmArchitecture;
  /** Identity of what it computes. */
  readonly fingerprint: string;
  /** Number of parameters, tied ones counted once. */
  readonly parameters: number;
  /** Where it came from. */
  readonly source: ModelSource;
  /** The weights file. */
  readonly weights: {
    /** Its name. */
    readonly file: string;
    /** Its size. */
    readonly byteLength: number;
    /** Its tensors by name. */
    readonly tensors: Readonly<Record<string, WeightEntry>>;
  };
}

/** The text of `config.json`: one line a tensor, so that people can read it. */
export function formatConfig(config: FolderConfig): string {
  const tensors = Object.entries(config.weights.tensors)
    .map(([name, entry]) => `      ${JSON.stringify(name)}: ${JSON.stringify(entry)}`)
    .join(',\n');
  const rest = { ...config, weights: { ...config.weights, tensors: {} } };
  return `${JSON.stringify(rest, undefined, 2).replace('"tensors": {}', () => `"tensors": {\n${tensors}\n    }`)}\n`;
}

/** The config for a new folder. */
export function newConfig(
  parts: Pick<FolderConfig, 'architecture' | 'fingerprint' | 'source'> & {
    readonly weights: ReadonlyMap<string, WeightEntry>;
  },
): FolderConfig {
  const places = new Map([...parts.weights.values()].map((entry) => [entry.byteOffset, entry]));
  const ends = [...places.values()].map((entry) => entry.byteOffset + entry.byteLength);
  return {
    format: folderLayout.format,
    version: folderLayout.version,
    architecture: parts.architecture,
    fingerprint: parts.fingerprint,
    parameters: [...places.values()].reduce((sum, entry) => sum + entry.byteLength / 4, 0),
    source: parts.source,
    weights: {
      file: folderLayout.weightsFile,
      byteLength: Math.max(...ends),
      tensors: Object.fromEntries(parts.weights),
    },
  };
}
