import { describe, expect, it } from 'vitest';
import { parsePythonDictionary } from './python-dictionary.js';

const parse = (text: string) => parsePythonDictionary(text, '--model-overrides');

describe('parsePythonDictionary', () => {
  it('reads what people pass to --model-overrides', () => {
    expect(parse("{'tokens_per_sample':512,'max_target_positions':512}")).toEqual({
      tokens_per_sample: 512,
      max_target_positions: 512,
    });
    expect(parse('{"a": True, \'b\': False, "c": None, \'d\': 1.5e-3, }')).toEqual({
      a: true,
      b: false,
      c: null,
      d: 0.0015,
    });
    expect(parse("{'word': 'True None', 'nested': {'x': [1, 2]}}")).toEqual({
      word: 'True None',
      nested: { x: [1, 2] },
    });
    expect(parse('{}')).toEqual({});
  });

  it.each(["{'a': 1", '[1]', "__import__('os')", "{'a': print(1)}", ''])(
    'refuses %s without evaluating it',
    (text) => {
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'PYTHON_DICTIONARY' }));
    },
  );
});
