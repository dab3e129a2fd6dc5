import { describe, expect, it } from 'vitest';
import { newFile } from '../../test/support/files.js';
import {
  floatStorage,
  tensorRecord,
  writeLegacy,
  writeZip,
  type TestStorage,
} from '../../test/support/torch-writer.js';
import { PyGlobal, PyObject, PyReference, type PyValue } from '../pickle/values.js';
import type { TorchContainer } from './container.js';
import { openContainer } from './open-container.js';
import { readRows, storedTensor } from './stored-tensor.js';

const values = Array.from({ length: 24 }, (_, i) => i);
const storages = new Map<string, TestStorage>([['0', floatStorage(values)]]);

/** Writes one record in a file of its own, and opens that. */
function container(record: PyValue, of = storages, write = writeZip): TorchContainer {
  return openContainer(newFile(write(new Map([['t', record]]), of)));
}

function read(record: PyValue, startRow?: number, rowCount?: number, of = storages): number[] {
  const file = container(record, of);
  const tensor = storedTensor(file, 't', (file.root as Map<PyValue, PyValue>).get('t')!);
  return [...readRows(file, tensor, startRow, rowCount)];
}

describe('readRows', () => {
  it('reads views of any strides as numpy does', () => {
    // numpy: np.arange(24)[2:].reshape... as given by torch.as_strided(x, shape, strides, offset)
    expect(read(tensorRecord(storages, '0', [2, 3], [3, 1], 4))).toEqual([4, 5, 6, 7, 8, 9]);
    expect(read(tensorRecord(storages, '0', [3, 2], [1, 3], 4))).toEqual([4, 7, 5, 8, 6, 9]);
    expect(read(tensorRecord(storages, '0', [2, 2, 2], [1, 12, 6]))).toEqual([0, 6, 12, 18, 1, 7, 13, 19]);
    expect(read(tensorRecord(storages, '0', [3], [8]))).toEqual([0, 8, 16]);
    expect(read(tensorRecord(storages, '0', [], []))).toEqual([0]);
    expect(read(tensorRecord(storages, '0', [0, 4], [4, 1]))).toEqual([]);
    // The stride of an axis of one element means nothing.
    expect(read(tensorRecord(storages, '0', [1, 3], [99, 1]))).toEqual([0, 1, 2]);
  });

  it('reads some of the rows', () => {
    expect(read(tensorRecord(storages, '0', [4, 3], [3, 1]), 1, 2)).toEqual([3, 4, 5, 6, 7, 8]);
    expect(read(tensorRecord(storages, '0', [3, 4], [1, 3]), 2, 1)).toEqual([2, 5, 8, 11]);
    expect(() => read(tensorRecord(storages, '0', [4, 3], [3, 1]), 3, 2)).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_ROWS' }) as Error,
    );
  });

  it('widens halves and bfloat16 exactly and rounds doubles', () => {
    const typed = (className: string, itemBytes: number, bytes: ArrayBufferLike): Map<string, TestStorage> =>
      new Map([['0', { className, itemBytes, bytes: new Uint8Array(bytes) }]]);
    const half = typed('HalfStorage', 2, Uint16Array.of(0x3c00, 0xc000, 0x0001).buffer);
    expect(read(tensorRecord(half, '0', [3], [1]), 0, 3, half)).toEqual([1, -2, 2 ** -24]);
    const brain = typed('BFloat16Storage', 2, Uint16Array.of(0x3f80, 0xc049).buffer);
    expect(read(tensorRecord(brain, '0', [2], [1]), 0, 2, brain)).toEqual([1, -3.140625]);
    const double = typed('DoubleStorage', 8, Float64Array.of(Math.PI, 1e-50).buffer);
    expect(read(tensorRecord(double, '0', [2], [1]), 0, 2, double)).toEqual([Math.fround(Math.PI), 0]);
    const long = typed('LongStorage', 8, BigInt64Array.of(1n).buffer);
    expect(() => read(tensorRecord(long, '0', [1], [1]), 0, 1, long)).toThrow(/holds int64/);
  });

  it('unwraps parameters and subclasses', () => {
    const tensor = tensorRecord(storages, '0', [2], [1], 1);
    const parameter = new PyObject(new PyGlobal('torch._utils', '_rebuild_parameter'), [
      tensor,
      true,
      new Map(),
    ]);
    expect(read(parameter)).toEqual([1, 2]);
    const rebuild = new PyGlobal('torch._tensor', '_rebuild_from_type_v2');
    const type = new PyGlobal('torch', 'Tensor');
    expect(read(new PyObject(rebuild, [tensor.callee, type, [...tensor.args], new Map()]))).toEqual([1, 2]);
  });

  it('reads views of storages in the legacy format', () => {
    const key = ['storage', new PyGlobal('torch', 'FloatStorage'), '0', 'cpu', 24, ['view', 10, 4]];
    const record = new PyObject(new PyGlobal('torch._utils', '_rebuild_tensor_v2'), [
      new PyReference(key),
      1,
      [2],
      [1],
      false,
      new Map(),
    ]);
    const file = container(record, storages, writeLegacy);
    const tensor = storedTensor(file, 't', (file.root as Map<PyValue, PyValue>).get('t')!);
    expect([...readRows(file, tensor)]).toEqual([11, 12]);
  });
});

describe('storedTensor', () => {
  const refused: [string, PyValue][] = [
    ['more than its storage', tensorRecord(storages, '0', [5, 5], [5, 1])],
    ['beyond its end', tensorRecord(storages, '0', [2], [1], 23)],
    ['a broadcast', tensorRecord(storages, '0', [1e9, 24], [0, 1])],
    ['huge strides', tensorRecord(storages, '0', [2, 2], [2 ** 52, 2 ** 52])],
    ['a huge shape', tensorRecord(storages, '0', [2 ** 52, 2 ** 52], [1, 1])],
    ['negative numbers', tensorRecord(storages, '0', [2], [-1], 5)],
    ['fewer strides than axes', tensorRecord(storages, '0', [2, 2], [1])],
    ['many axes', tensorRecord(storages, '0', Array<number>(20).fill(1), Array<number>(20).fill(1))],
    ['a number', 5],
    ['another function', new PyObject(new PyGlobal('torch._utils', '_rebuild_sparse_tensor'), [])],
    ['no storage', new PyObject(new PyGlobal('torch._utils', '_rebuild_tensor_v2'), [1, 0, [1], [1]])],
  ];
  it.each(refused)('refuses %s by name', (_case, record) => {
    const file = container(record);
    expect(() => storedTensor(file, 'decoder.x', record)).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT_TENSOR',
        message: expect.stringContaining('decoder.x') as string,
      }) as Error,
    );
  });

  it('refuses a storage that is not there, or of an unknown class', () => {
    const other = new Map(storages).set('1', { ...floatStorage([1]), className: 'QInt8Storage' });
    const file = container(1, new Map([['1', floatStorage([1])]]));
    expect(() => storedTensor(file, 't', tensorRecord(storages, '0', [1], [1]))).toThrow(
      /storage 0 is not in/,
    );
    expect(() => storedTensor(file, 't', tensorRecord(other, '1', [1], [1]))).toThrow(/QInt8Storage/);
  });
});
