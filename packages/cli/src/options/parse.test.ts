import { describe, expect, it } from 'vitest';
import { knnEvaluationOptions } from '../commands/eval-knn-lm.js';
import { languageModelOptions } from '../commands/eval-lm.js';
import { UsageError } from '../terminal/usage-error.js';
import { commonOptions, preprocessOptions, registryOptions } from './fairseq.js';
import { buildIndexOptions, knnDatastoreOptions } from './knn.js';
import { destination, type Option } from './option.js';
import { parseArguments } from './parse.js';

const parse = (options: readonly Option[], words: string, allowAbbreviations = false) =>
  parseArguments(
    {
      program: 'test',
      description: 'test',
      positionals: words.startsWith('-') ? {} : { data: 'data' },
      options,
      allowAbbreviations,
    },
    words.split(' '),
  ).values;

const preprocessTable = [...commonOptions, ...registryOptions('translation'), ...preprocessOptions];
const generateTable = [...languageModelOptions('language_modeling_knn'), ...knnDatastoreOptions];

describe('the recipe', () => {
  it('fairseq-preprocess', () => {
    const values = parse(
      preprocessTable,
      '--only-source --trainpref w/wiki.train.tokens --validpref w/wiki.valid.tokens --testpref w/wiki.test.tokens --destdir d --workers 20',
    );
    expect(values).toMatchObject({
      only_source: true,
      trainpref: 'w/wiki.train.tokens',
      destdir: 'd',
      workers: 20,
      padding_factor: 8,
    });
  });

  it('generate_lm_datastore', () => {
    const values = parse(
      generateTable,
      'd --task language_modeling_knn --module-to-capture layers[-1].final_layer_norm --sample-break-mode none --max-tokens 3072 --softmax-batch 1024 --context-window 1536 --tokens-per-sample 3072 --gen-subset train --path model.pt --datastore s --datastore-size 103225485 --keys-dtype fp16 --saving-mode',
    );
    expect(values).toMatchObject({
      data: 'd',
      module_to_capture: 'layers[-1].final_layer_norm',
      max_tokens: 3072,
      datastore_size: 103225485,
      saving_mode: true,
    });
  });

  it('build_faiss_index, with abbreviations', () => {
    const values = parse(
      buildIndexOptions,
      '--use-gpu --datastore s --datastore-size 103225485 --keys-dim 1024 --num-trained-keys 40000000 --keys-dtype fp16 --knn-fp16',
      true,
    );
    expect(values).toMatchObject({
      use_gpu: true,
      keys_dimension: 1024,
      num_trained_keys: 40000000,
      ncentroids: 4096,
      code_size: 64,
    });
  });

  it('eval_knn_lm', () => {
    const values = parse(
      knnEvaluationOptions,
      'd --task language_modeling_knn --module-to-capture layers[-1].final_layer_norm --recompute-distance --load-keys --keys-dimension 1024 --datastore s --move-to-memory --datastore-size 103225485 --knn-device-id 1 --num-neighbors 1024 --lambda-value 0.25 --score-knn-lm --knn-fp16 --num-workers 0 --path model.pt --sample-break-mode complete --max-tokens 3072 --tokens-per-sample 3072 --context-window 2560 --softmax-batch 1024 --gen-subset test',
    );
    expect(values).toMatchObject({
      num_neighbors: 1024,
      lambda_value: 0.25,
      temperature_value: 1,
      nprobe: 32,
      score_knn_lm: true,
      knn_device_id: '1',
    });
  });
});

describe('parseArguments', () => {
  it('takes values as argparse does', () => {
    expect(parse(knnEvaluationOptions, 'd --path m --datastore s --knn-device-id=-1').knn_device_id).toBe(
      '-1',
    );
    expect(
      parse(knnEvaluationOptions, 'd --path m --datastore s --num-neighbors 1 --num-neighbors 7')
        .num_neighbors,
    ).toBe(7);
    expect(parse(knnEvaluationOptions, 'd --path m --datastore s --lambda-value 1e-2').lambda_value).toBe(
      0.01,
    );
    expect(parse(knnEvaluationOptions, 'd --path m --datastore s --remove-bpe').post_process).toBe(
      'subword_nmt',
    );
    expect(parse(knnEvaluationOptions, 'd --path m --datastore s --max-sentences 3').batch_size).toBe(3);
  });

  it.each([
    ['d --path m --datastore s --lambda 0.25', /--lambda/],
    ['d --path m --datastore s --temprature-value 3', /did you mean --temperature-value\?/],
    ['d --path m --datastore s --num_neighbors 3', /did you mean --num-neighbors\?/],
    ['d --path m --datastore s --sample-break-mode lines', /invalid choice.*lines/],
    ['d --path m', /--datastore/],
  ])('refuses %s', (words, pattern) => {
    expect(() => parse(knnEvaluationOptions, words)).toThrow(UsageError);
    expect(() => parse(knnEvaluationOptions, words)).toThrow(pattern);
  });
});

describe('the option tables', () => {
  it.each([
    ['preprocess', preprocessTable],
    ['generate', generateTable],
    ['evaluate', knnEvaluationOptions],
    ['build index', buildIndexOptions],
  ])('%s: no name twice', (_, table) => {
    const names = table.map(destination);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });
});
