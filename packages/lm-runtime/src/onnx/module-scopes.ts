import type { GraphIndex } from './graph-index.js';
import { modulesAround } from './modules-around.js';
import type { FileNode } from './onnx-file.js';

/** A module of the exported model: all nodes that come from it. */
export interface ModuleScope {
  /** Path with indices from the front: `transformer.h[11].ln_2`. */
  readonly path: string;
  /** The path in pieces: `transformer`, `h`, `11`, `ln_2`. */
  readonly segments: readonly string[];
  /** Hidden states that its nodes make and nodes outside read; a module that can be captured has one. */
  readonly outputs: readonly string[];
}

/** The modules of a graph, in the order in which they first run; see {@link modulesAround}. */
export function moduleScopes(graph: GraphIndex): ModuleScope[] {
  const members = new Map<string, Set<FileNode>>();
  for (const node of graph.file.nodes) {
    for (const scope of modulesAround(node)) {
      const nodes = members.get(scope) ?? new Set();
      members.set(scope, nodes.add(node));
    }
  }
  return [...members].map(([scope, nodes]) => {
    const segments = scope.split('.');
    return { path: formatPath(segments), segments, outputs: outputsOf(graph, nodes) };
  });
}

/** `transformer.h.11.ln_2` is written `transformer.h[11].ln_2`. */
function formatPath(segments: readonly string[]): string {
  return segments
    .map((segment, i) => (i > 0 && /^\d+$/.test(segment) ? `[${segment}]` : `${i > 0 ? '.' : ''}${segment}`))
    .join('');
}

/** Keys and values for the next step leave a module too, but only as outputs of the graph. */
function outputsOf({ readers, hidden, file }: GraphIndex, nodes: ReadonlySet<FileNode>): string[] {
  const made = [...nodes].flatMap((node) => node.outputs).filter((value) => hidden.has(value));
  const isReadOutside = (value: string): boolean =>
    (readers.get(value) ?? []).some((node) => !nodes.has(node));
  const readOutside = made.filter(isReadOutside);
  if (readOutside.length > 0) return readOutside;
  const fetched = new Set(file.outputs.map((output) => output.name));
  return made.filter((value) => fetched.has(value) && !/^present/.test(value));
}
