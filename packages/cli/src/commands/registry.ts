import type { Command } from '../terminal/command.js';

/** A command of `knn-lm`. */
export interface RegisteredCommand {
  /** One line for `knn-lm --help`. */
  readonly summary: string;
  /** The program that is this command under the name of the Python tools. */
  readonly program?: string | undefined;
  /** Imports it: a command starts faster when it alone is read. */
  readonly load: () => Promise<Command>;
}

/** Every command of `knn-lm`, in the order of its help. */
export const commands: Readonly<Record<string, RegisteredCommand>> = {
  preprocess: {
    summary: 'make a dictionary and binarize texts (fairseq-preprocess)',
    program: 'fairseq-preprocess',
    load: async () => (await import('./preprocess.js')).preprocessCommand,
  },
  'inspect-data': {
    summary: 'print binarized text as words',
    load: async () => (await import('./inspect-data.js')).inspectDataCommand,
  },
  'count-tokens': {
    summary: 'count the tokens of binarized text (count_tokens)',
    program: 'count_tokens',
    load: async () => (await import('./count-tokens.js')).countTokensCommand,
  },
  'generate-datastore': {
    summary: 'write the datastore of a text (generate_lm_datastore)',
    program: 'generate_lm_datastore',
    load: async () => (await import('./generate-lm-datastore.js')).generateDatastoreCommand,
  },
  'build-index': {
    summary: 'build the Faiss index of a datastore (build_faiss_index)',
    program: 'build_faiss_index',
    load: async () => (await import('./build-faiss-index.js')).buildIndexCommand,
  },
  'merge-index': {
    summary: 'make one index of the shards that build_faiss_index --num-shards has built',
    load: async () => (await import('./merge-index.js')).mergeIndexCommand,
  },
  'index-stats': {
    summary: 'measure an index: balance of its lists, memory, recall',
    load: async () => (await import('./index-stats.js')).indexStatsCommand,
  },
  tune: {
    summary: 'choose k, lambda and temperature on a validation text',
    load: async () => (await import('./tune.js')).tuneCommand,
  },
  eval: {
    summary: 'perplexity with neighbours (eval_knn_lm)',
    program: 'eval_knn_lm',
    load: async () => (await import('./eval-knn-lm.js')).evalCommand,
  },
  inspect: {
    summary: 'show the neighbours of some tokens, and where they come from',
    load: async () => (await import('./inspect.js')).inspectCommand,
  },
  'eval-lm': {
    summary: 'perplexity of the language model alone (fairseq-eval-lm)',
    program: 'fairseq-eval-lm',
    load: async () => (await import('./eval-lm.js')).evalLmCommand,
  },
  generate: {
    summary: 'continue a prompt with the model and its neighbours',
    load: async () => (await import('./generate.js')).generateCommand,
  },
  'reduce-eval': {
    summary: 'add up an evaluation made in shards',
    load: async () => (await import('./reduce-eval.js')).reduceEvalCommand,
  },
  'merge-datastore': {
    summary: 'join datastores, or the shards of one (merge_datastore)',
    program: 'merge_datastore',
    load: async () => (await import('./merge-datastore.js')).mergeDatastoreCommand,
  },
  'dedup-datastore': {
    summary: 'drop entries with equal key and value (dedup_datastore)',
    program: 'dedup_datastore',
    load: async () => (await import('./dedup-datastore.js')).dedupDatastoreCommand,
  },
  'prune-datastore': {
    summary: 'keep a sample, or merge neighbours of equal value (prune_datastore)',
    program: 'prune_datastore',
    load: async () => (await import('./prune-datastore.js')).pruneDatastoreCommand,
  },
  'reduce-datastore-dims': {
    summary: 'fewer dimensions by PCA (reduce_datastore_dims)',
    program: 'reduce_datastore_dims',
    load: async () => (await import('./reduce-datastore-dims.js')).reduceDatastoreDimsCommand,
  },
  verify: {
    summary: 'check a datastore: checksums, values, model, dictionary, text, index',
    load: async () => (await import('./verify.js')).verifyCommand,
  },
  'convert-checkpoint': {
    summary: 'convert a fairseq checkpoint to a model folder',
    load: async () => (await import('./convert-checkpoint.js')).convertCheckpointCommand,
  },
  'list-modules': {
    summary: 'print the modules of a model whose output can be captured',
    load: async () => (await import('./list-modules.js')).listModulesCommand,
  },
  doctor: {
    summary: 'say what this machine has, and what a planned run needs and takes',
    load: async () => (await import('./doctor.js')).doctorCommand,
  },
  completion: {
    summary: 'print a script that completes commands and options in bash or zsh',
    load: async () => (await import('./completion.js')).completionCommand,
  },
  slurm: {
    summary: 'run the whole recipe as Slurm jobs, or as local processes',
    load: async () => (await import('./slurm.js')).slurmCommand,
  },
  'slurm-status': {
    summary: 'how far a run of knn-lm slurm is, and why tasks failed',
    load: async () => (await import('./slurm-status.js')).slurmStatusCommand,
  },
  'slurm-task': {
    summary: 'run one task of a stage; what the scripts of knn-lm slurm call',
    load: async () => (await import('./slurm-task.js')).slurmTaskCommand,
  },
};
