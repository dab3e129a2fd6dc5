import { flag, int, str, withoutEffect, type Option } from './option.js';

/** fairseq's CommonConfig (fairseq/dataclass/configs.py), in its order. */
export const commonOptions: readonly Option[] = [
  flag('--no-progress-bar', 'plain lines instead of a progress bar'),
  ...withoutEffect('ignored', '--log-interval  int  100'),
  str('--log-format', null, 'how progress is shown', { choices: ['json', 'none', 'simple', 'tqdm'] }),
  str('--log-file', null, 'append the log to this file too'),
  ...withoutEffect(
    'training',
    `
    --aim-repo              str
    --aim-run-hash          str
    --tensorboard-logdir    str
    --wandb-project         str
    --azureml-logging
    `,
  ),
  int('--seed', 1, 'seed of --shorten-method random_crop'),
  flag('--cpu', 'use the CPU (there is no other device here)'),
  ...withoutEffect('gpu', '--tpu\n--bf16\n--memory-efficient-bf16\n--fp16\n--memory-efficient-fp16'),
  ...withoutEffect(
    'training',
    `
    --fp16-no-flatten-grads
    --fp16-init-scale             int    128
    --fp16-scale-window           int
    --fp16-scale-tolerance        float  0.0
    --on-cpu-convert-precision
    --min-loss-scale              float  0.0001
    --threshold-loss-scale        float
    --amp
    --amp-batch-retries           int    2
    --amp-init-scale              int    128
    --amp-scale-window            int
    `,
  ),
  ...withoutEffect('ignored', '--user-dir  str'),
  ...withoutEffect(
    'training',
    `
    --empty-cache-freq            int    0
    --all-gather-list-size        int    16384
    --model-parallel-size         int    1
    --quantization-config-path    str
    --profile
    --reset-logging
    --suppress-crashes
    --use-plasma-view
    --plasma-path                 str    PLASMA
    `,
  ),
];

/** Choices that fairseq makes from its registries; none of them matters here. */
export function registryOptions(task: string): readonly Option[] {
  return [
    ...withoutEffect(
      'training',
      `
      --criterion     str  cross_entropy
      --tokenizer     str
      --bpe           str
      --optimizer     str
      --lr-scheduler  str  fixed
      --simul-type    str
      --scoring       str  bleu
      `,
    ),
    ...withoutEffect('training', `--task  str  ${task}`),
  ];
}

/** Options of the registries' defaults (lr-scheduler fixed, scoring bleu), which `fairseq-eval-lm` accepts too. */
export const registryDefaultsOptions: readonly Option[] = withoutEffect(
  'training',
  `
  --force-anneal    int
  --lr-shrink       float  0.1
  --warmup-updates  int    0
  --pad             int    1
  --eos             int    2
  --unk             int    3
  `,
);

/** fairseq's DatasetConfig. */
export const datasetOptions: readonly Option[] = [
  ...withoutEffect('ignored', '--num-workers  int  1\n--skip-invalid-size-inputs-valid-test'),
  int('--max-tokens', null, 'tokens in a batch, context not counted (default: 36000)'),
  int('--batch-size --max-sentences', null, 'blocks in a batch'),
  ...withoutEffect('ignored', '--required-batch-size-multiple  int  8\n--required-seq-len-multiple  int  1'),
  str('--dataset-impl', null, 'format of the data (default: found by itself)', {
    choices: ['raw', 'lazy', 'cached', 'mmap', 'fasta', 'huffman'],
  }),
  ...withoutEffect('ignored', '--data-buffer-size  int  10'),
  ...withoutEffect(
    'training',
    `
    --train-subset                        str    train
    --valid-subset                        str    valid
    --combine-valid-subsets --combine-val
    --ignore-unused-valid-subsets
    --validate-interval                   int    1
    --validate-interval-updates           int    0
    --validate-after-updates              int    0
    --fixed-validation-seed               int
    --disable-validation
    --max-tokens-valid                    int
    --batch-size-valid --max-sentences-valid  int
    --max-valid-steps --nval              int
    --curriculum                          int    0
    `,
  ),
  str('--gen-subset', 'test', 'split to work on: train, valid, test, valid1, ...'),
  int('--num-shards', 1, 'cut the text into so many contiguous pieces'),
  int('--shard-id', 0, 'work on this piece only (from 0)'),
  ...withoutEffect(
    'training',
    '--grouped-shuffling\n--update-epoch-batch-itr  str\n--update-ordered-indices-seed',
  ),
];

/** fairseq's DistributedTrainingConfig: all left over from training. */
export const distributedOptions: readonly Option[] = withoutEffect(
  'training',
  `
  --distributed-world-size         int  1
  --distributed-num-procs          int
  --distributed-rank               int  0
  --distributed-backend            str  nccl
  --distributed-init-method        str
  --distributed-port               int  -1
  --device-id --local_rank         int  0
  --distributed-no-spawn
  --ddp-backend                    str  pytorch_ddp
  --ddp-comm-hook                  str  none
  --bucket-cap-mb                  int  25
  --fix-batches-to-gpus
  --find-unused-parameters
  --gradient-as-bucket-view
  --fast-stat-sync
  --heartbeat-timeout              int  -1
  --broadcast-buffers
  --slowmo-momentum                float
  --slowmo-base-algorithm          str  localsgd
  --localsgd-frequency             int  3
  --nprocs-per-node                int  1
  --pipeline-model-parallel
  --pipeline-balance               str
  --pipeline-devices               str
  --pipeline-chunks                int  0
  --pipeline-encoder-balance       str
  --pipeline-encoder-devices       str
  --pipeline-decoder-balance       str
  --pipeline-decoder-devices       str
  --pipeline-checkpoint            str  never
  --zero-sharding                  str  none
  --no-reshard-after-forward
  --fp32-reduce-scatter
  --cpu-offload
  --use-sharded-state
  --not-fsdp-flatten-parameters
  `,
);

/** fairseq's CommonEvalConfig. */
export const commonEvalOptions: readonly Option[] = [
  str('--path', null, 'fairseq checkpoint (model.pt), a model folder made from one, or an .onnx file', {
    required: true,
  }),
  str('--post-process --remove-bpe', null, 'score words instead of their pieces ("@@ " marks a piece)', {
    nargs: '?',
    const: 'subword_nmt',
  }),
  flag('--quiet', 'no log lines but the last two'),
  str('--model-overrides', '{}', "settings that replace the checkpoint's, as a Python dictionary"),
  ...withoutEffect('ignored', '--results-path  str'),
];

/** fairseq's EvalLMConfig. */
export const evalLmOptions: readonly Option[] = [
  flag('--output-word-probs', 'print each word with its log-probability'),
  flag('--output-word-stats', 'print statistics of each word at the end'),
  int('--context-window', 0, 'tokens of context that every block gets'),
  int('--softmax-batch', null, 'rows of the softmax computed together (default: as many as are fast)'),
];

/** fairseq's LanguageModelingConfig. */
export const languageModelingOptions: readonly Option[] = [
  str('--sample-break-mode', 'none', 'how the text is cut into blocks', {
    choices: ['none', 'complete', 'complete_doc', 'eos'],
  }),
  int('--tokens-per-sample', 1024, 'tokens of a block, its context included'),
  ...withoutEffect('ignored', '--output-dictionary-size  int  -1'),
  ...withoutEffect('training', '--self-target\n--future-target\n--past-target'),
  flag('--add-bos-token', 'begin every block with <s>'),
  ...withoutEffect('ignored', '--max-target-positions  int'),
  str('--shorten-method', 'none', 'what to do with blocks that are too long', {
    choices: ['none', 'truncate', 'random_crop'],
  }),
  str(
    '--shorten-data-split-list',
    '',
    'splits that --shorten-method applies to, comma separated (default: all)',
  ),
  ...withoutEffect('training', '--pad-to-fixed-length\n--pad-to-fixed-bsz'),
];

/** fairseq's preprocessing options (fairseq/options.py, add_preprocess_args), in its order. */
export const preprocessOptions: readonly Option[] = [
  str('--source-lang -s', null, 'source language'),
  str('--target-lang -t', null, 'target language'),
  str(
    '--trainpref',
    null,
    'training text (and, without --srcdict, where the dictionary comes from): a file, a quoted pattern, or - for standard input; .gz too',
  ),
  str(
    '--validpref',
    null,
    "validation texts, comma separated; each as for --trainpref ('corpus/*.txt', a.gz)",
  ),
  str('--testpref', null, 'test texts, comma separated; each as for --trainpref'),
  str('--align-suffix', null, 'suffix of the alignment files'),
  str('--destdir', 'data-bin', 'folder for the results'),
  int('--thresholdtgt', 0, 'target words seen less often become <unk>'),
  int('--thresholdsrc', 0, 'words seen less often become <unk>'),
  str('--tgtdict', null, 'use this target dictionary'),
  str('--srcdict', null, 'use this dictionary'),
  int('--nwordstgt', -1, 'size of the target dictionary, the 4 special symbols included'),
  int('--nwordssrc', -1, 'size of the dictionary, the 4 special symbols included'),
  str('--alignfile', null, 'alignment file'),
  str('--dataset-impl', 'mmap', 'format of the data; raw copies the text (fasta and huffman are refused)', {
    choices: ['raw', 'lazy', 'cached', 'mmap', 'fasta', 'huffman'],
  }),
  flag('--joined-dictionary', 'one dictionary for both languages'),
  flag('--only-source', 'one language only'),
  int('--padding-factor', 8, 'the size of the dictionary is made a multiple of this'),
  int('--workers', 1, 'number of threads; the result is the same for any'),
  flag('--dict-only', 'only make the dictionary'),
];
