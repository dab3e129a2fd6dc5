import type { FileNode } from './onnx-file.js';

/**
 * The modules that a node comes from, the outer ones first: `transformer`, `transformer.h.11`, `transformer.h.11.ln_2`.
 *
 * torch 2's exporter (`dynamo=True`) says it in the node's metadata: `pkg.torch.onnx.name_scopes` is the text of a Python
 * list of module paths, from the root `''` to the name of the operation, and `namespace` holds the same as
 * `PATH: CLASS/PATH: CLASS/...` (docs.pytorch.org, "torch.export-based ONNX Exporter"). The one before it puts the path
 * into the node's name: `/transformer/h.11/ln_2/Add`.
 */
export function modulesAround({ name, notes }: FileNode): string[] {
  const listed = notes['pkg.torch.onnx.name_scopes'];
  if (listed !== undefined) return modulesOf(pythonStrings(listed));
  const { namespace } = notes;
  if (namespace !== undefined) return modulesOf(namespace.split('/').map(pathOfEntry));
  const parts = name.split('/').slice(1, -1);
  if (parts.some((part) => part === '')) return [];
  return parts.map((_, i) => parts.slice(0, i + 1).join('.'));
}

/** Without the root, and without the operation, which comes last. */
function modulesOf(scopes: readonly string[]): string[] {
  return [...new Set(scopes.slice(0, -1))].filter((scope) => scope !== '');
}

/** `layers.0: torch.nn.modules.linear.Linear` is `layers.0`. */
function pathOfEntry(entry: string): string {
  return entry.replace(/:.*$/s, '').trim();
}

/** The strings of a list as Python writes it: `['', 'layers.0', "it's"]`. */
function pythonStrings(list: string): string[] {
  const strings = list.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/gs);
  return Array.from(strings, ([, single, double]) => (single ?? double).replace(/\\(.)/gs, '$1'));
}
