import { buildFaissIndex } from './commands/build-faiss-index.js';
import { countTokensCommand } from './commands/count-tokens.js';
import { evalKnnLm } from './commands/eval-knn-lm.js';
import { evalLm } from './commands/eval-lm.js';
import { generateLmDatastore } from './commands/generate-lm-datastore.js';
import { knnLm } from './commands/knn-lm.js';
import { fairseqPreprocess } from './commands/preprocess.js';
import { mergeDatastoreCommand } from './commands/merge-datastore.js';
import { dedupDatastoreCommand } from './commands/dedup-datastore.js';
import { pruneDatastoreCommand } from './commands/prune-datastore.js';
import { reduceDatastoreDimsCommand } from './commands/reduce-datastore-dims.js';
import { runAsProcess, type Command } from './terminal/run.js';

const programs: Readonly<Record<string, Command>> = {
  'fairseq-preprocess': fairseqPreprocess,
  'fairseq-eval-lm': evalLm,
  generate_lm_datastore: generateLmDatastore,
  build_faiss_index: buildFaissIndex,
  eval_knn_lm: evalKnnLm,
  merge_datastore: mergeDatastoreCommand,
  dedup_datastore: dedupDatastoreCommand,
  prune_datastore: pruneDatastoreCommand,
  reduce_datastore_dims: reduceDatastoreDimsCommand,
  count_tokens: countTokensCommand,
  'knn-lm': knnLm,
};

/**
 * Runs one of the programs as the process and sets its exit status: 0, 1 for failures, 2 for usage errors, 130 after
 * Ctrl-C.
 *
 * @param program - name of the program, as installed in `node_modules/.bin`
 * @param argv - its arguments
 */
export async function main(program: string, argv: readonly string[]): Promise<void> {
  await runAsProcess(program, programs[program], argv);
}
