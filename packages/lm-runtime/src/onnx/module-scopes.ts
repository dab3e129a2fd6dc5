import type { GraphIndex } from './graph-index.js';
import type { FileNode } from './onnx-file.js';

/** A module of the exported model: all nodes whose names begin with its path. */
export interface ModuleScope {
  /** Path with indices from the front: `transformer.h[11].ln_2`. */
  readonly path: string;
  /** The path in pieces: `transformer`, `h`, `11`, `ln_2`. */
  readonly segments: readonly string[];
  /** Hidden states that its nodes make and nodes outside read; a module that can be captured has one. */
  readonly outputs: readonly string[];
}

/**
 * The modules of a graph, in the order in which they first run. torch.onnx.export names a node by the modules around it:
 * `/transformer/h.11/ln_2/Add` is the operation `Add` of module `transformer.h.11.ln_2`.
 */
export function moduleScopes(graph: GraphIndex): ModuleScope[] {
  const members = new Map<string, Set<FileNode>>();
  for (const node of graph.file.nodes) {
    for (const scope of scopesAround(node)) {
      const nodes = members.get(scope) ?? new Set();
      members.set(scope, nodes.add(node));
    }
  }
  return [...members].map(([scope, nodes]) => {
    const segments = scope.split('/').flatMap((part) => part.split('.'));
    return { path: formatPath(segments), segments, outputs: outputsOf(graph, nodes) };
  });
}

/** `/a/b.0/Add` stands in `a` and `a/b.0`. */
function scopesAround({ name }: FileNode): string[] {
  const parts = name.split('/').slice(1, -1);
  if (parts.some((part) => part === '')) return [];
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
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
