import { readFileSync } from 'node:fs';
import { RandomAccessFile } from '@knn-lm/common';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { golden, newFile } from '../../test/support/files.js';
import { writePickle } from '../../test/support/pickle-writer.js';
import { CheckpointError } from '../errors.js';
import { pickleLimits } from './limits.js';
import { unpickle } from './unpickle.js';
import { PyGlobal, PyObject, PyReference, type PyValue } from './values.js';

function load(bytes: Uint8Array | string): PyValue {
  const file = new RandomAccessFile(
    newFile(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
  );
  try {
    return unpickle(file, 0).value;
  } finally {
    file.close();
  }
}

function failure(bytes: Uint8Array | string): CheckpointError {
  try {
    load(bytes);
  } catch (error) {
    if (error instanceof CheckpointError) return error;
    throw error;
  }
  throw new Error('no error');
}

/** Written by CPython 3.11: `pickle.dumps(value, protocol)` of one value in each protocol, base64. */
const pickles = JSON.parse(readFileSync(golden('pickles.json'), 'utf8')) as Record<string, string>;

describe.each(Object.keys(pickles))('protocol %s', (protocol) => {
  const value = load(Buffer.from(pickles[protocol], 'base64')) as Map<PyValue, PyValue>;

  it('reads constants, integers of every size, floats and text', () => {
    expect(value.get('none')).toBeNull();
    expect([value.get('true'), value.get('false')]).toEqual([true, false]);
    expect(value.get('ints')).toEqual([
      0,
      1,
      255,
      256,
      65535,
      65536,
      -1,
      -128,
      -129,
      2 ** 31 - 1,
      -(2 ** 31),
      2 ** 31,
      2n ** 53n,
      -(2n ** 53n),
    ]);
    const magic = 0x1950a86a20f9469cfc6cn;
    expect(value.get('big')).toEqual([magic, -magic, 2n ** 63n, -(2n ** 63n), -(2n ** 64n), 2n ** 64n]);
    expect(value.get('floats')).toEqual([0.5, -1e300, 1e-5, 3, Infinity]);
    expect(value.get('text')).toEqual(['', 'a', 'é', '日本', '😀', 'x'.repeat(300), 'q\'"\\\n']);
  });

  it('reads containers, and shares what is shared', () => {
    expect(value.get('tuple')).toEqual([[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]);
    const [first, second] = value.get('shared') as PyValue[];
    expect(first).toEqual([1, 2]);
    expect(second).toBe(first);
    expect(value.get('dict')).toEqual(
      new Map([
        ['x', 1],
        ['y', 2],
      ]),
    );
    if (Number(protocol) >= 4) expect(value.get('set')).toEqual(new Set([1]));
    if (Number(protocol) >= 3) expect(value.get('bytes')).toEqual(Uint8Array.of(0, 255, 128));
  });

  it('keeps objects as records, and a __proto__ key as a key', () => {
    expect(value.get('__proto__')).toEqual(new Map([['polluted', 1]]));
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    const namespace = value.get('namespace') as PyObject;
    // Protocols 0 and 1 go through copyreg, which names the class among the arguments.
    const classes = [namespace.path, (namespace.args[0] as PyGlobal | undefined)?.path];
    expect(classes).toContain('argparse.Namespace');
    expect(namespace.state).toEqual(
      new Map<PyValue, PyValue>([
        ['a', 1],
        ['b', 'two'],
      ]),
    );
  });
});

describe('unpickle', () => {
  it('reads back what it is given', () => {
    const leaf = fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true, noInteger: true }),
      fc.string({ unit: 'grapheme' }),
    );
    const { value } = fc.letrec<{ value: PyValue }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.array(tie('value')),
        fc.array(fc.tuple(fc.string(), tie('value'))).map((pairs) => new Map(pairs)),
      ),
    }));
    fc.assert(
      fc.property(value, (each) => {
        expect(load(writePickle(each))).toEqual(each);
      }),
      { numRuns: 300 },
    );
  });

  it('names functions and never calls them', () => {
    const value = load("cos\nsystem\n(S'echo hello'\ntR.");
    expect(value).toEqual(new PyObject(new PyGlobal('os', 'system'), ['echo hello']));
    expect(load('cbuiltins\neval\n(Vprocess.exit(1)\ntR.')).toBeInstanceOf(PyObject);
    expect(load('(Vecho\nios\nsystem\n.')).toEqual(new PyObject(new PyGlobal('os', 'system'), ['echo']));
  });

  it('reads text that is not UTF-8 where Python writes it', () => {
    // pickle.dumps('a\\udcffb', 2), and a byte string of Python 2
    expect(load('X\x05\x00\x00\x00a\xed\xb3\xbfb.')).toBe('a?b');
    expect([load('U\x02\xc3\xa9.'), load('U\x02\xe9\x80.')]).toEqual(['é', 'é\x80']);
    expect(load('V\xe9\\u65e5\n.')).toBe('é日');
  });

  it('reads persistent references in both forms', () => {
    expect(load('Pname\n.')).toEqual(new PyReference('name'));
    expect(load('K\x07Q.')).toEqual(new PyReference(7));
  });

  it('keeps state, elements and entries of an unknown class', () => {
    const value = load('cm\nC\n)\x81(K\x01K\x02e(K\x03K\x04u}b.') as PyObject;
    expect([value.elements, value.entries, value.state]).toEqual([[1, 2], new Map([[3, 4]]), new Map()]);
  });
});

describe('a hostile pickle', () => {
  const limits: [name: string, bytes: string][] = [
    ['marks inside marks', '('.repeat(pickleLimits.markDepth + 1) + '.'],
    ['a stack without end', 'N'.repeat(pickleLimits.stackDepth + 1) + '.'],
    ['objects without end', ']0'.repeat(pickleLimits.objects + 1) + 'N.'],
    ['an integer of 4 GB', '\x8b\xff\xff\xff\xff'],
    ['an integer that is long', `\x8a\xff${'x'.repeat(255)}.`],
    ['a line without end', `c${'x'.repeat(70_000)}\n`],
    // One list of 10,000 pairs, copied into a dictionary again and again by 30 bytes each.
    [
      'a dictionary copied again and again',
      `](${'K\x01K\x02\x86'.repeat(10_000)}eq\x000${'ccollections\nOrderedDict\nh\x00\x85R0'.repeat(1000)}N.`,
    ],
  ];
  it.each(limits)('is refused: %s', (_name, bytes) => {
    expect(['PICKLE_LIMIT', 'PICKLE_TRUNCATED']).toContain(failure(bytes).code);
  });

  it('is refused before a length in it is believed', () => {
    for (const opcode of ['X', 'T', 'B']) {
      const error = failure(`\x80\x02${opcode}\xff\xff\xff\x7f abc`);
      expect(error.code).toBe('PICKLE_TRUNCATED');
      expect(error.details).toMatchObject({ byteOffset: 7 });
    }
    expect(failure('\x8d\xff\xff\xff\xff\xff\xff\xff\xff').code).toBe('PICKLE_TRUNCATED');
  });

  it('may refer to itself, and nest deeper than any call stack', () => {
    expect(load(']q\x00h\x00a.')).toHaveLength(1);
    expect(load(')' + '\x85'.repeat(150_000) + '.')).toHaveLength(1);
  });

  const broken: [code: string, bytes: string][] = [
    ['PICKLE_OPCODE', '\xff'],
    ['PICKLE_OPCODE', '\x82\x01.'],
    ['PICKLE_OPCODE', '\x97.'],
    ['PICKLE_PROTOCOL', '\x80\x06.'],
    ['PICKLE_TRUNCATED', ''],
    ['PICKLE_TRUNCATED', '\x80'],
    ['PICKLE_TRUNCATED', 'N'],
    ['PICKLE_STACK', '.'],
    ['PICKLE_STACK', 't.'],
    ['PICKLE_STACK', '(o.'],
    ['PICKLE_STACK', '(0N(.'],
    ['PICKLE_STACK', '}(K\x01u.'],
    ['PICKLE_MEMO', 'h\x05.'],
    ['PICKLE_MEMO', 'Np01\n.'],
    ['PICKLE_TYPE', 'NNa.'],
    ['PICKLE_TYPE', 'NNNs.'],
    ['PICKLE_TYPE', 'N(N\x90.'],
    ['PICKLE_TYPE', 'NNb.'],
    ['PICKLE_TYPE', 'NNR.'],
    ['PICKLE_TYPE', 'NN\x93.'],
    ['PICKLE_TYPE', 'ccollections\nOrderedDict\n]Na\x85R.'],
    ['PICKLE_NUMBER', 'Ix\n.'],
    ['PICKLE_NUMBER', `L${'9'.repeat(60_000)}L\n.`],
    ['PICKLE_NUMBER', 'F1.5.5\n.'],
    ['PICKLE_TEXT', 'Sx\n.'],
    ['PICKLE_TEXT', '\x8c\x01\xff.'],
  ];
  it.each(broken)('%s: %j', (code, bytes) => {
    const error = failure(bytes === '' ? ' ' : bytes);
    expect(bytes === '' ? 'PICKLE_OPCODE' : code).toBe(error.code);
    expect(error.message).toMatch(/\.pt: at byte \d+: /);
  });
});
