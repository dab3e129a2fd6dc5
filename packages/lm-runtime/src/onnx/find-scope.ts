import { LmRuntimeError } from '../errors.js';
import type { ModuleScope } from './module-scopes.js';

/** More names than this do not help. */
const mostCandidates = 30;

/**
 * Finds a module by its path: the modules whose path ends with it. Negative indices count from the end. Where nothing is
 * found, leading names are left out, because containers that are never called are in no node's name.
 *
 * @param scopes - all modules of a graph
 * @param path - such as `layers[-1].final_layer_norm` or `transformer.h.11.ln_2`
 * @throws {@link LmRuntimeError} `MODULE_UNKNOWN`, `MODULE_AMBIGUOUS`; both list candidates
 */
export function findScope(scopes: readonly ModuleScope[], path: string): ModuleScope {
  const wanted = segmentsOf(path);
  for (let pattern = wanted; pattern.length > 0; pattern = pattern.slice(1)) {
    const found = scopes.filter((scope) => endsWith(scopes, scope, pattern));
    const exact = found.find((scope) => scope.segments.length === pattern.length);
    if (exact !== undefined || found.length === 1) return requireOneOutput(exact ?? found[0]);
    if (found.length > 1) throw ambiguous(path, found);
    // `h[3].mlp` says which layer; `mlp` alone would mean another one.
    if (pattern.length > 1 && isIndex(pattern[1])) break;
  }
  throw new LmRuntimeError('MODULE_UNKNOWN', `no module ${path} in this model`, {
    hint: describeCandidates(capturable(scopes), wanted),
    details: { module: path },
  });
}

/** Modules with one output. */
export function capturable(scopes: readonly ModuleScope[]): ModuleScope[] {
  return scopes.filter((scope) => scope.outputs.length === 1);
}

function segmentsOf(path: string): string[] {
  return path
    .trim()
    .replace(/\[\s*(-?\d+)\s*\]/g, '.$1')
    .split('.')
    .filter((segment) => segment !== '');
}

const isIndex = (segment: string): boolean => /^-?\d+$/.test(segment);

function endsWith(scopes: readonly ModuleScope[], scope: ModuleScope, pattern: readonly string[]): boolean {
  const skipped = scope.segments.length - pattern.length;
  if (skipped < 0) return false;
  return pattern.every((wanted, i) => {
    const found = scope.segments[skipped + i];
    if (!/^-\d+$/.test(wanted)) return wanted === found;
    return isIndex(found) && Number(found) === Number(wanted) + siblingCount(scopes, scope, skipped + i);
  });
}

/** Number of modules in the list that holds a module: the largest index and one. */
function siblingCount(scopes: readonly ModuleScope[], { segments }: ModuleScope, at: number): number {
  const list = segments.slice(0, at).join('.');
  const indices = scopes
    .filter((other) => other.segments.length > at && other.segments.slice(0, at).join('.') === list)
    .map((other) => Number(other.segments[at]));
  return Math.max(...indices.filter(Number.isInteger)) + 1;
}

function requireOneOutput(scope: ModuleScope): ModuleScope {
  if (scope.outputs.length === 1) return scope;
  const outputs = scope.outputs.length === 0 ? 'no hidden states' : `several: ${scope.outputs.join(', ')}`;
  throw new LmRuntimeError('MODULE_AMBIGUOUS', `the module ${scope.path} gives ${outputs}`, {
    hint:
      scope.outputs.length === 0
        ? 'Choose a module inside or around it (knn-lm list-modules MODEL).'
        : 'Give the name of one of these tensors instead of the module.',
    details: { module: scope.path },
  });
}

function ambiguous(path: string, found: readonly ModuleScope[]): LmRuntimeError {
  return new LmRuntimeError('MODULE_AMBIGUOUS', `${path} may mean ${found.length} modules of this model`, {
    hint: `Say which: ${listOf(found.map((scope) => scope.path))}.`,
    details: { module: path, count: found.length },
  });
}

function describeCandidates(scopes: readonly ModuleScope[], wanted: readonly string[]): string {
  if (scopes.length === 0) {
    return 'The nodes of this file carry no module names (an optimizer may have renamed them). Give the name of a tensor in it, or features, the input of the output layer.';
  }
  const last = wanted.at(-1) ?? '';
  const similar = scopes.filter((scope) => scope.segments.at(-1) === last);
  return `It has: ${listOf((similar.length > 0 ? similar : scopes).map((scope) => scope.path))} (knn-lm list-modules MODEL).`;
}

function listOf(paths: readonly string[]): string {
  const shown = paths.slice(-mostCandidates).join(', ');
  return paths.length > mostCandidates ? `..., ${shown}` : shown;
}
