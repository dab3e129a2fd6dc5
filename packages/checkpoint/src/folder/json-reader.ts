import { CheckpointError } from '../errors.js';

/** Typed access to a value from JSON, with errors that name the file and the place in it. */
export class JsonReader {
  /**
   * @param path - the file
   * @param place - where in the file, such as `weights.tensors`
   * @param value - what is there
   */
  constructor(
    readonly path: string,
    readonly place: string,
    readonly value: unknown,
  ) {}

  /** A property of an object; of `undefined` value where it is missing. */
  get(name: string): JsonReader {
    const object = this.#object();
    const place = this.place === '' ? name : `${this.place}.${name}`;
    return new JsonReader(this.path, place, Object.hasOwn(object, name) ? object[name] : undefined);
  }

  /** All properties of an object. */
  entries(): [string, JsonReader][] {
    return Object.keys(this.#object()).map((name) => [name, this.get(name)]);
  }

  /** All items of an array. */
  items(): JsonReader[] {
    if (!Array.isArray(this.value)) throw this.#fail('an array');
    return this.value.map((item: unknown, i) => new JsonReader(this.path, `${this.place}[${i}]`, item));
  }

  /** A string. */
  text(): string {
    if (typeof this.value !== 'string') throw this.#fail('a string');
    return this.value;
  }

  /** A SHA-256 in hexadecimal. */
  hex(): string {
    const text = this.text();
    if (!/^[0-9a-f]{64}$/.test(text)) throw this.#fail('64 hexadecimal digits');
    return text;
  }

  /** One of some strings. */
  oneOf<T extends string>(choices: readonly T[]): T {
    const choice = choices.find((each) => each === this.value);
    if (choice === undefined) throw this.#fail(`one of ${choices.join(', ')}`);
    return choice;
  }

  /** A boolean. */
  flag(): boolean {
    if (typeof this.value !== 'boolean') throw this.#fail('true or false');
    return this.value;
  }

  /** A finite number. */
  number(): number {
    if (typeof this.value !== 'number' || !Number.isFinite(this.value)) throw this.#fail('a number');
    return this.value;
  }

  /** A whole number, 0 or more. */
  count(): number {
    const value = this.number();
    if (!Number.isSafeInteger(value) || value < 0) throw this.#fail('a whole number');
    return value;
  }

  #object(): Record<string, unknown> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) {
      throw this.#fail('an object');
    }
    return this.value as Record<string, unknown>;
  }

  #fail(expected: string): CheckpointError {
    const found = this.value === undefined ? 'missing' : (JSON.stringify(this.value).slice(0, 40) ?? '');
    return new CheckpointError(
      'MODEL_FOLDER_CONFIG',
      `${this.path}: ${this.place || 'the file'} is ${found}; ${expected} is expected`,
      {
        hint: 'Delete the folder; the checkpoint is converted again.',
        details: { path: this.path, place: this.place },
      },
    );
  }
}
