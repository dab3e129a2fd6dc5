import { createRequire } from 'node:module';
import { listModules } from '@knn-lm/lm-runtime';
import { closest } from 'fastest-levenshtein';
import { parseArguments } from '../options/parse.js';
import { writeAll } from '../terminal/log.js';
import type { Command } from '../terminal/run.js';
import { UsageError } from '../terminal/usage-error.js';
import { buildFaissIndex } from './build-faiss-index.js';
import { countTokensCommand } from './count-tokens.js';
import { convertCheckpointCommand } from './convert-checkpoint.js';
import { evalKnnLm } from './eval-knn-lm.js';
import { evalLm } from './eval-lm.js';
import { generateLmDatastore } from './generate-lm-datastore.js';
import { indexStatsCommand } from './index-stats.js';
import { mergeDatastoreCommand } from './merge-datastore.js';
import { dedupDatastoreCommand } from './dedup-datastore.js';
import { pruneDatastoreCommand } from './prune-datastore.js';
import { reduceDatastoreDimsCommand } from './reduce-datastore-dims.js';
import { inspectDataCommand } from './inspect-data.js';
import { fairseqPreprocess } from './preprocess.js';
import { tuneCommand } from './tune.js';
import { verifyCommand } from './verify.js';

const commands: Readonly<Record<string, readonly [command: Command, summary: string]>> = {
  preprocess: [fairseqPreprocess, 'make a dictionary and binarize texts (fairseq-preprocess)'],
  'inspect-data': [inspectDataCommand, 'print binarized text as words'],
  'count-tokens': [countTokensCommand, 'count the tokens of binarized text (count_tokens)'],
  'generate-datastore': [generateLmDatastore, 'write the datastore of a text (generate_lm_datastore)'],
  'build-index': [buildFaissIndex, 'build the Faiss index of a datastore (build_faiss_index)'],
  'index-stats': [indexStatsCommand, 'measure an index: balance of its lists, memory, recall'],
  tune: [tuneCommand, 'choose k, lambda and temperature on a validation text'],
  eval: [evalKnnLm, 'perplexity with neighbours (eval_knn_lm)'],
  'eval-lm': [evalLm, 'perplexity of the language model alone (fairseq-eval-lm)'],
  'merge-datastore': [mergeDatastoreCommand, 'join datastores, or the shards of one (merge_datastore)'],
  'dedup-datastore': [dedupDatastoreCommand, 'drop entries with equal key and value (dedup_datastore)'],
  'prune-datastore': [
    pruneDatastoreCommand,
    'keep a sample, or merge neighbours of equal value (prune_datastore)',
  ],
  'reduce-datastore-dims': [reduceDatastoreDimsCommand, 'fewer dimensions by PCA (reduce_datastore_dims)'],
  verify: [verifyCommand, 'check a datastore: checksums, values, model, dictionary, text, index'],
  'convert-checkpoint': [convertCheckpointCommand, 'convert a fairseq checkpoint to a model folder'],
  'list-modules': [listModulesCommand, 'print the modules of a model whose output can be captured'],
};

/** `knn-lm COMMAND`: every command under one name. */
export async function knnLm(argv: readonly string[], signal: AbortSignal): Promise<number | undefined> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    writeAll(name === undefined ? 2 : 1, usage());
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === 'version') {
    writeAll(1, `${version()}\n`);
    return 0;
  }
  if (!Object.hasOwn(commands, name)) {
    const hint = closest(name, Object.keys(commands));
    throw new UsageError(
      `unknown command '${name}'; did you mean '${hint}'?`,
      'usage: knn-lm COMMAND [options]\n',
    );
  }
  return commands[name][0](rest, signal);
}

async function listModulesCommand(argv: readonly string[]): Promise<undefined> {
  const { values } = parseArguments(
    {
      program: 'knn-lm list-modules',
      description: 'Prints the modules of a model whose output --module-to-capture can name.',
      positionals: { path: 'checkpoint, model folder or .onnx file' },
      options: [],
    },
    argv,
  );
  writeAll(1, `${(await listModules(values['path'] as string)).join('\n')}\n`);
}

function usage(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, [, summary]]) => `  ${name.padEnd(width)}  ${summary}`);
  return `usage: knn-lm COMMAND [options]\n\n${lines.join('\n')}\n\nknn-lm COMMAND --help shows the options of a command.\n`;
}

function version(): string {
  const manifest = createRequire(import.meta.url)('../../package.json') as { version: string };
  return manifest.version;
}
