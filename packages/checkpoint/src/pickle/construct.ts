import { describeValue } from './literals.js';
import type { PickleFailure } from './pickle-error.js';
import { PyGlobal, PyObject, type PyValue } from './values.js';

/** Dictionaries by another name; what else they can do plays no part in a checkpoint. */
const dictionaries = new Set(['collections.OrderedDict', 'collections.defaultdict', 'collections.Counter']);

/**
 * What calling a class or function gives: a `Map` for the dictionary classes, otherwise an inert record.
 *
 * Nothing is copied that the pickle could name again for two bytes, or else a small file could fill the memory.
 *
 * @param callee - the class or function
 * @param args - its arguments
 * @param charge - counts what is copied
 * @param fail - makes the errors
 */
export function construct(
  callee: PyValue,
  args: PyValue,
  charge: (objects: number) => void,
  fail: PickleFailure,
): PyValue {
  if (!Array.isArray(args)) {
    throw fail('PICKLE_TYPE', `a tuple of arguments is expected, not ${describeValue(args)}`);
  }
  const path = callee instanceof PyGlobal ? callee.path : '';
  if (!dictionaries.has(path)) return new PyObject(callee, args);
  const initial = args[args.length - 1];
  return initial instanceof Map ? initial : dictionary(Array.isArray(initial) ? initial : [], charge, fail);
}

/** A dictionary from the pairs that its constructor got, as Python 2 pickled an `OrderedDict`; mostly none. */
function dictionary(
  pairs: readonly PyValue[],
  charge: (objects: number) => void,
  fail: PickleFailure,
): Map<PyValue, PyValue> {
  charge(pairs.length);
  const entries = new Map<PyValue, PyValue>();
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
