// Protocol Buffers encoding: https://protobuf.dev/programming-guides/encoding/

/** One field of a message. Its content is a view of the message's bytes: nothing is copied. */
export interface ProtobufField {
  /** Field number. */
  readonly number: number;
  /** Value of a varint, signed, or of a fixed-width field, unsigned; 0 for a field with bytes. */
  readonly value: number;
  /** Content of a length-delimited field; empty for a number. */
  readonly bytes: Uint8Array;
  /** The whole field with its tag, as it can be copied into another message. */
  readonly encoded: Uint8Array;
}

/** Thrown within this folder only; the reader of the file adds which file it is. */
export class ProtobufProblem extends Error {}

const varint = 0;
const fixed64 = 1;
const lengthDelimited = 2;
const fixed32 = 5;

/** A 64-bit number has at most this many groups of 7 bits. */
const longestVarint = 10;

const noBytes = new Uint8Array();

/**
 * The fields of a message, one after the other. Every length is checked against the bytes that are there.
 *
 * @param message - the bytes of the message, without a length before them
 * @throws ProtobufProblem where the bytes are no message
 */
export function* protobufFields(message: Uint8Array): Generator<ProtobufField> {
  for (let start = 0; start < message.length;) {
    const [tag, afterTag] = readVarint(message, start);
    const number = Math.floor(tag / 8);
    if (number < 1 || number > 0x1fffffff)
      throw new ProtobufProblem(`field number ${number} at byte ${start}`);
    const field = readContent(message, tag % 8, afterTag, start);
    yield { number, value: field.value, bytes: field.bytes, encoded: message.subarray(start, field.end) };
    start = field.end;
  }
}

function readContent(message: Uint8Array, wireType: number, at: number, start: number) {
  if (wireType === varint) {
    const [value, end] = readVarint(message, at);
    return { value, bytes: noBytes, end };
  }
  if (wireType === lengthDelimited) {
    const [length, begin] = readVarint(message, at);
    const end = begin + length;
    if (length < 0 || end > message.length) {
      throw new ProtobufProblem(
        `a field of ${length} bytes at byte ${start} of a message of ${message.length}`,
      );
    }
    return { value: 0, bytes: message.subarray(begin, end), end };
  }
  if (wireType === fixed32 || wireType === fixed64) {
    const end = at + (wireType === fixed32 ? 4 : 8);
    if (end > message.length) throw new ProtobufProblem(`a number is cut short at byte ${start}`);
    const view = new DataView(message.buffer, message.byteOffset + at, end - at);
    const value = wireType === fixed32 ? view.getUint32(0, true) : Number(view.getBigUint64(0, true));
    return { value, bytes: noBytes, end };
  }
  throw new ProtobufProblem(`wire type ${wireType} at byte ${start}`);
}

/** As the signed 64-bit number that it stands for; a magnitude above 2^53 is rounded, and means nothing here. */
function readVarint(message: Uint8Array, start: number): [value: number, end: number] {
  let value = 0;
  let factor = 1;
  for (let i = 0; i < longestVarint; i++) {
    const byte = message[start + i];
    if (byte === undefined) throw new ProtobufProblem(`a number is cut short at byte ${start}`);
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) {
      const end = start + i + 1;
      // Negative numbers have ten bytes: more than a double holds.
      return [i + 1 === longestVarint ? signedVarint(message.subarray(start, end)) : value, end];
    }
    factor *= 128;
  }
  throw new ProtobufProblem(`a number of more than ${longestVarint} bytes at byte ${start}`);
}

function signedVarint(bytes: Uint8Array): number {
  const unsigned = bytes.reduceRight((sum, byte) => sum * 128n + BigInt(byte & 0x7f), 0n);
  return Number(BigInt.asIntN(64, unsigned));
}

/** The numbers of a repeated integer field, packed. */
export function packedVarints(bytes: Uint8Array): number[] {
  const values: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const [value, end] = readVarint(bytes, at);
    values.push(value);
    at = end;
  }
  return values;
}
