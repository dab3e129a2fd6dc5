import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtobufWriter } from '@knn-lm/checkpoint';
import { packedVarints, protobufFields, ProtobufProblem } from './protobuf-reader.js';

const fields = (bytes: Uint8Array) => [...protobufFields(bytes)];

describe('protobufFields', () => {
  it('reads what the writer writes', () => {
    const inner = new ProtobufWriter().int(1, 5);
    const writer = new ProtobufWriter()
      .int(1, 300)
      .string(2, 'abc')
      .float(3, 1.5)
      .int(4, -2)
      .message(15, inner);
    const [a, b, c, d, e] = fields(writer.finish());
    expect([a.number, a.value]).toEqual([1, 300]);
    expect([b.number, Buffer.from(b.bytes).toString()]).toEqual([2, 'abc']);
    expect([c.number, c.value]).toEqual([3, 0x3fc00000]);
    expect(d.value).toBe(-2);
    expect(fields(e.bytes)[0]).toMatchObject({ number: 1, value: 5 });
  });

  it('gives each field as it stands in the file', () => {
    const message = new ProtobufWriter().int(1, 300).string(2, 'abc').float(3, 1.5).finish();
    expect(Buffer.concat(fields(message).map((field) => field.encoded)).equals(message)).toBe(true);
  });

  it('reads packed numbers of any size', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeInteger()), (numbers) => {
        const [field] = fields(new ProtobufWriter().ints(1, numbers).finish());
        expect(packedVarints(field.bytes)).toEqual(numbers);
      }),
    );
  });

  it.each([
    ['a length beyond the end', [0x0a, 0x05, 1, 2]],
    ['a gigantic length', [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ['a number without an end', [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ['a number cut short', [0x08, 0x80]],
    ['a float cut short', [0x0d, 1, 2, 3]],
    ['a group, which ONNX has not', [0x0b]],
    ['field 0', [0x00, 0x01]],
  ])('refuses %s', (_, bytes) => {
    expect(() => fields(Uint8Array.from(bytes))).toThrow(ProtobufProblem);
  });

  it('ends with fields or a problem for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          for (const field of protobufFields(bytes)) expect(field.encoded.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtobufProblem);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
