import { PyGlobal, PyObject, PyReference, type PyValue } from '../../src/pickle/values.js';

/** Writes values as a pickle of protocol 2; the little that tests need to make checkpoints of their own. */
export function writePickle(value: PyValue): Buffer {
  const parts: Buffer[] = [Buffer.from([0x80, 2])];
  put(parts, value);
  parts.push(Buffer.from('.'));
  return Buffer.concat(parts);
}

function put(parts: Buffer[], value: PyValue): void {
  const code = (text: string): void => void parts.push(Buffer.from(text, 'latin1'));
  if (value === null) code('N');
  else if (typeof value === 'boolean') code(value ? '\x88' : '\x89');
  else if (typeof value === 'bigint') parts.push(long(value));
  else if (typeof value === 'number') parts.push(number(value));
  else if (typeof value === 'string') {
    const text = Buffer.from(value);
    parts.push(Buffer.from('X'), uint32(text.length), text);
  } else if (Array.isArray(value)) {
    code('(');
    for (const item of value) put(parts, item);
    code('t');
  } else if (value instanceof Map) {
    code('}(');
    for (const [key, item] of value) {
      put(parts, key);
      put(parts, item);
    }
    code('u');
  } else if (value instanceof PyGlobal) code(`c${value.module}\n${value.name}\n`);
  else if (value instanceof PyObject) {
    put(parts, value.callee);
    put(parts, [...value.args]);
    code('R');
    if (value.state !== undefined) {
      put(parts, value.state);
      code('b');
    }
  } else if (value instanceof PyReference) {
    put(parts, value.id);
    code('Q');
  } else throw new TypeError('not written here');
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function number(value: number): Buffer {
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 31) {
    const bytes = Buffer.from('J    ');
    bytes.writeInt32LE(value, 1);
    return bytes;
  }
  if (Number.isInteger(value)) return long(BigInt(value));
  const bytes = Buffer.from('G        ');
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

/** LONG1: two's complement in as few bytes as 16 allow. */
function long(value: bigint): Buffer {
  const bytes = Buffer.alloc(18);
  bytes[0] = 0x8a;
  bytes[1] = 16;
  const unsigned = BigInt.asUintN(128, value);
  bytes.writeBigUInt64LE(unsigned & 0xffffffffffffffffn, 2);
  bytes.writeBigUInt64LE(unsigned >> 64n, 10);
  return bytes;
}
