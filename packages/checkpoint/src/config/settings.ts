import { CheckpointError } from '../errors.js';
import { describeValue } from '../pickle/literals.js';
import { PyObject, type PyValue } from '../pickle/values.js';

/** The model's settings by fairseq's name, and typed access that names the file and the setting when it fails. */
export class Settings {
  readonly #path: string;
  readonly #values: Map<string, PyValue>;

  /**
   * @param path - the checkpoint, for messages
   * @param values - settings by name
   */
  constructor(path: string, values: Iterable<readonly [string, PyValue]>) {
    this.#path = path;
    this.#values = new Map(values);
  }

  /** Whether there is such a setting, be it `None`. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The value as it is. */
  get(name: string): PyValue | undefined {
    return this.#values.get(name);
  }

  /** Sets a value. */
  set(name: string, value: PyValue): void {
    this.#values.set(name, value);
  }

  /** Sets a value unless there is one. */
  setDefault(name: string, value: PyValue): void {
    if (!this.#values.has(name)) this.#values.set(name, value);
  }

  /** Whether the value is true in Python's sense, but for strings, which are no booleans in fairseq. */
  flag(name: string): boolean {
    const value = this.#values.get(name);
    if (value === undefined || value === null || value === false || value === 0) return false;
    if (value === true || value === 1) return true;
    throw this.fail(name, 'True or False is expected');
  }

  /** A whole number of at least 1. */
  count(name: string): number {
    const value = this.#values.get(name);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value;
    throw this.fail(name, 'a whole number of at least 1 is expected');
  }

  /** A whole number of at least 1, or `undefined` for `None` or a setting that is not there. */
  optionalCount(name: string): number | undefined {
    const value = this.#values.get(name);
    return value === undefined || value === null ? undefined : this.count(name);
  }

  /** A finite number; 0 for `None` or a setting that is not there. */
  number(name: string): number {
    const value = this.#values.get(name) ?? 0;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw this.fail(name, 'a number is expected');
  }

  /** A string, or the value of an enum member. */
  text(name: string): string {
    const value = enumValue(this.#values.get(name));
    if (typeof value === 'string') return value;
    throw this.fail(name, 'a string is expected');
  }

  /** Whole numbers, from a list or a string such as `20000,60000`; `undefined` for `None` or an absent setting. */
  counts(name: string): number[] | undefined {
    const value = this.#values.get(name);
    if (value === undefined || value === null) return undefined;
    const parts =
      typeof value === 'string'
        ? value
            .replace(/^\s*[[(]|[\])]\s*$/g, '')
            .split(',')
            .filter((part) => part.trim() !== '')
            .map(Number)
        : Array.isArray(value)
          ? value
          : [value];
    const isWhole = (part: unknown): part is number => Number.isSafeInteger(part) && (part as number) >= 0;
    if (parts.length === 0 || !parts.every(isWhole)) {
      throw this.fail(name, 'whole numbers such as 20000,60000 are expected');
    }
    return parts;
  }

  /** The error for a setting with a value that is not possible. */
  fail(name: string, expected: string): CheckpointError {
    const found = describeValue(this.#values.get(name));
    return new CheckpointError('CHECKPOINT_SETTING', `${this.#path}: ${name} is ${found}; ${expected}`, {
      hint: 'The checkpoint is damaged or from a version of fairseq that is not known.',
      details: { path: this.#path, setting: name, found },
    });
  }

  /** The error for a model that this package does not convert. */
  refuse(name: string, what: string): CheckpointError {
    const found = describeValue(this.#values.get(name));
    return new CheckpointError(
      'CHECKPOINT_UNSUPPORTED',
      `${this.#path}: ${name} is ${found}: ${what} not supported`,
      {
        hint: "Supported are fairseq's transformer language models (transformer_lm and its architectures).",
        details: { path: this.#path, setting: name, found },
      },
    );
  }
}

/** What an enum member stands for, from the call `cls(value)` or `getattr(cls, name)` that pickle writes for it. */
export function enumValue(value: PyValue | undefined): PyValue | undefined {
  if (!(value instanceof PyObject)) return value;
  const { path, args } = value;
  if ((path === 'builtins.getattr' || path === '__builtin__.getattr') && args.length === 2) return args[1];
  return args.length === 1 ? args[0] : value;
}
