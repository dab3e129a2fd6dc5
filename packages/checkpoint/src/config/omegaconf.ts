import { PyObject, type PyValue } from '../pickle/values.js';

/** Steps from one setting to another before it is taken to lead nowhere; fairseq's take one. */
const MAX_STEPS = 16;

/** Longest list of which the items are unwrapped; the cutoffs of an adaptive softmax are 2 or 3. */
const MAX_ITEMS = 64;

/**
 * Takes a value out of the record that OmegaConf wraps it in (omegaconf/dictconfig.py, listconfig.py, nodes.py:
 * containers keep their parts in `_content`, leaves their value in `_val`). The parts stay wrapped: a pickle can refer
 * to a part many times, so that unwrapping all of them could take any time.
 *
 * @param value - from the pickle
 */
export function unwrap(value: PyValue | undefined): PyValue {
  let found = value ?? null;
  for (let i = 0; i < MAX_STEPS; i++) {
    if (!(found instanceof PyObject) || !found.path.startsWith('omegaconf.')) return found;
    if (!(found.state instanceof Map)) return found;
    found = found.state.get('_content') ?? found.state.get('_val') ?? null;
  }
  return null;
}

/**
 * Unwraps a setting, and follows a reference to another, such as `${task.tokens_per_sample}`, from the top of the
 * configuration. fairseq resolves them before it saves, other programs may not.
 *
 * @param value - a setting
 * @param root - the whole configuration
 * @returns the plain value; `null` where a reference leads nowhere
 */
export function plainSetting(value: PyValue, root: ReadonlyMap<PyValue, PyValue>): PyValue {
  let found = unwrap(value);
  for (let i = 0; i < MAX_STEPS && typeof found === 'string'; i++) {
    const [, path] = /^\$\{([\w.]{1,200})\}$/.exec(found) ?? [];
    if (path === undefined) return found === '???' ? null : found; // OmegaConf's mark of a missing value
    let node: PyValue | ReadonlyMap<PyValue, PyValue> = root;
    for (const name of path.split('.')) node = node instanceof Map ? unwrap(node.get(name)) : null;
    found = node as PyValue;
  }
  return Array.isArray(found) && found.length <= MAX_ITEMS ? found.map(unwrap) : found;
}
