/**
 * What a pickle can hold. A tuple and a list are both an array, an `OrderedDict` and a dict both a `Map` (so that no key,
 * `__proto__` least of all, means anything to JavaScript), integers beyond 2^53 are `bigint`.
 */
export type PyValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PyValue[]
  | Map<PyValue, PyValue>
  | Set<PyValue>
  | PyGlobal
  | PyObject
  | PyReference;

/** The name of a class or function. It is never looked up, let alone called. */
export class PyGlobal {
  /**
   * @param module - dotted module name
   * @param name - name in that module
   */
  constructor(
    readonly module: string,
    readonly name: string,
  ) {}

  /** `module.name` */
  get path(): string {
    return `${this.module}.${this.name}`;
  }
}

/** An inert record of a call that Python would have made: an instance of a class, or what a function returns. */
export class PyObject {
  /** What `__setstate__` or `__dict__` would have received. */
  state: PyValue | undefined;
  /** What would have been appended to it. */
  readonly elements: PyValue[] = [];
  /** What would have been set on it by key. */
  readonly entries = new Map<PyValue, PyValue>();

  /**
   * @param callee - the class or function
   * @param args - its positional arguments
   */
  constructor(
    readonly callee: PyValue,
    readonly args: readonly PyValue[],
  ) {}

  /** `module.name` of the class or function, or an empty string when it is not a plain name. */
  get path(): string {
    return this.callee instanceof PyGlobal ? this.callee.path : '';
  }
}

/** An object that the pickle only names; in a checkpoint these are the storages of the tensors. */
export class PyReference {
  /** @param id - the name, a tuple in torch's pickles */
  constructor(readonly id: PyValue) {}
}
