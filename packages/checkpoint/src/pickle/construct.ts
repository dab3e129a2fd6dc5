import { describeValue } from './literals.js';
import type { PickleFailure } from './pickle-error.js';
import { PyGlobal, PyObject, type PyValue } from './values.js';

/** Dictionaries by another name; what else they can do plays no part in a checkpoint. */
const dictionaries = new Set(['collections.OrderedDict', 'collections.defaultdict', 'collections.Counter']);

/**
 * What calling a class or function gives: a `Map` for the dictionary classes, bytes for the call that pickle writes for
 * them under protocol 2, otherwise an inert record.
 */
export function construct(callee: PyValue, args: PyValue, fail: PickleFailure): PyValue {
  if (!Array.isArray(args)) {
    throw fail('PICKLE_TYPE', `a tuple of arguments is expected, not ${describeValue(args)}`);
  }
  const path = callee instanceof PyGlobal ? callee.path : '';
  if (dictionaries.has(path)) return dictionary(args[args.length - 1], fail);
  if (path === '_codecs.encode' && args[1] === 'latin1' && typeof args[0] === 'string') {
    return Uint8Array.from(args[0], (character) => character.charCodeAt(0));
  }
  return new PyObject(callee, args);
}

/** The entries that a dictionary's constructor got, as protocol 0 of Python 2 passed them; mostly none. */
function dictionary(pairs: PyValue | undefined, fail: PickleFailure): Map<PyValue, PyValue> {
  if (pairs instanceof Map) return new Map(pairs);
  const entries = new Map<PyValue, PyValue>();
  if (!Array.isArray(pairs)) return entries;
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw fail('PICKLE_TYPE', `a pair is expected, not ${describeValue(pair)}`);
    }
    entries.set(pair[0], pair[1]);
  }
  return entries;
}

/** Sets entries from keys and values in turn. */
export function setItems(target: PyValue, items: readonly PyValue[], fail: PickleFailure): void {
  const entries = target instanceof PyObject ? target.entries : target;
  if (!(entries instanceof Map)) {
    throw fail('PICKLE_TYPE', `a dict is expected, not ${describeValue(target)}`);
  }
  if (items.length % 2 !== 0) throw fail('PICKLE_STACK', 'a key has no value');
  for (let i = 0; i < items.length; i += 2) entries.set(items[i], items[i + 1]);
}

/** Appends to a list. */
export function append(target: PyValue, items: readonly PyValue[], fail: PickleFailure): void {
  const elements = target instanceof PyObject ? target.elements : target;
  if (!Array.isArray(elements)) {
    throw fail('PICKLE_TYPE', `a list is expected, not ${describeValue(target)}`);
  }
  for (const item of items) elements.push(item);
}

/** Adds to a set. */
export function addItems(target: PyValue, items: readonly PyValue[], fail: PickleFailure): void {
  if (!(target instanceof Set)) throw fail('PICKLE_TYPE', `a set is expected, not ${describeValue(target)}`);
  for (const item of items) target.add(item);
}

/** Gives an object its state. Attributes of dictionaries, such as a state dict's `_metadata`, are dropped. */
export function build(target: PyValue, state: PyValue, fail: PickleFailure): void {
  if (target instanceof PyObject) target.state = state;
  else if (!(target instanceof Map || target instanceof Set || Array.isArray(target))) {
    throw fail('PICKLE_TYPE', `an object is expected, not ${describeValue(target)}`);
  }
}
