import { PyObject, type PyValue } from '../pickle/values.js';

/** Settings nest three deep in fairseq; a value that refers to itself would nest without end. */
const MAX_DEPTH = 32;

/**
 * Turns the records of an OmegaConf configuration (omegaconf/dictconfig.py, listconfig.py, nodes.py: containers keep
 * their parts in `_content`, leaves their value in `_val`) into plain dicts and lists. Other values stay as they are.
 *
 * @param value - from the pickle
 */
export function withoutOmegaConf(value: PyValue, depth = 0): PyValue {
  if (depth > MAX_DEPTH) return null;
  if (value instanceof PyObject && value.path.startsWith('omegaconf.') && value.state instanceof Map) {
    const inner = value.state.get('_content') ?? value.state.get('_val') ?? null;
    return withoutOmegaConf(inner, depth + 1);
  }
  if (value instanceof Map) {
    return new Map([...value].map(([key, part]) => [key, withoutOmegaConf(part, depth + 1)]));
  }
  return Array.isArray(value) ? value.map((part) => withoutOmegaConf(part, depth + 1)) : value;
}

/**
 * Follows a reference from one setting to another, such as `${task.tokens_per_sample}`, from the top of the
 * configuration. fairseq resolves them before it saves, other programs may not.
 *
 * @param value - a setting
 * @param root - the whole configuration
 * @returns what it refers to; `null` where that is missing
 */
export function resolveReference(value: PyValue, root: ReadonlyMap<PyValue, PyValue>): PyValue {
  let found = value;
  for (let hops = 0; hops < MAX_DEPTH && typeof found === 'string'; hops++) {
    const [, path] = /^\$\{([\w.]+)\}$/.exec(found) ?? [];
    if (path === undefined) return found === '???' ? null : found; // OmegaConf's mark of a missing value
    let node: PyValue | undefined = root as Map<PyValue, PyValue>;
    for (const name of path.split('.')) node = node instanceof Map ? node.get(name) : undefined;
    found = node ?? null;
  }
  return found;
}
