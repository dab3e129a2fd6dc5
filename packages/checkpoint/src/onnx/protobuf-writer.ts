// Protocol Buffers encoding: https://protobuf.dev/programming-guides/encoding/

const wireVarint = 0;
const wireLengthDelimited = 2;
const wireFixed32 = 5;

const utf8 = new TextEncoder();

/** Nearly all numbers of a graph are tags, lengths and kinds below 128. */
const oneByte = Array.from({ length: 128 }, (_, value) => Uint8Array.of(value));

/**
 * Writes the fields of one Protocol Buffers message, in the order of the calls.
 *
 * Only what ONNX messages need: varints, single floats, strings, bytes, nested messages and packed repeated numbers.
 */
export class ProtobufWriter {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /**
   * Writes an integer field (`int32`, `int64`, `enum`).
   *
   * @param field - field number
   * @param value - a safe integer; a negative one takes ten bytes, as in every protobuf encoder
   */
  int(field: number, value: number): this {
    this.#tag(field, wireVarint);
    return this.#varint(value);
  }

  /** Writes a `float` field. */
  float(field: number, value: number): this {
    this.#tag(field, wireFixed32);
    return this.#append(floatBytes([value]));
  }

  /** Writes a `string` field as UTF-8. */
  string(field: number, value: string): this {
    return this.bytes(field, utf8.encode(value));
  }

  /** Writes a `bytes` field. */
  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, wireLengthDelimited);
    this.#varint(value.length);
    return this.#append(value);
  }

  /** Writes a nested message. */
  message(field: number, value: ProtobufWriter): this {
    this.#tag(field, wireLengthDelimited);
    this.#varint(value.#length);
    for (const part of value.#parts) this.#append(part);
    return this;
  }

  /** Writes fields that are encoded already. */
  encoded(fields: Uint8Array): this {
    return this.#append(fields);
  }

  /** Writes a repeated integer field, packed. */
  ints(field: number, values: readonly number[]): this {
    const packed = new ProtobufWriter();
    for (const value of values) packed.#varint(value);
    return this.message(field, packed);
  }

  /** Writes a repeated `float` field, packed. */
  floats(field: number, values: readonly number[]): this {
    return this.bytes(field, floatBytes(values));
  }

  /** All bytes written so far. */
  finish(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    let offset = 0;
    for (const part of this.#parts) {
      bytes.set(part, offset);
      offset += part.length;
    }
    return bytes;
  }

  #tag(field: number, wireType: number): void {
    this.#varint(field * 8 + wireType);
  }

  #varint(value: number): this {
    if (value >= 0 && value < oneByte.length) return this.#append(oneByte[value]);
    let rest = BigInt.asUintN(64, BigInt(value));
    const bytes: number[] = [];
    while (rest > 0x7fn) {
      bytes.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    return this.#append(Uint8Array.from(bytes));
  }

  #append(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }
}

function floatBytes(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => view.setFloat32(i * 4, value, true));
  return bytes;
}
