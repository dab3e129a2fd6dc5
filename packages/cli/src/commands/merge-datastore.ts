import { linkDatastores, mergeDatastores, type Datastore, type KeysDtype } from '@knn-lm/datastore';
import { mergeOptions } from '../options/datastore-tools.js';
import { overwriteRequested } from '../options/knn.js';
import type { CommandLine, ParsedArguments } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { UsageError } from '../terminal/usage-error.js';
import { derivedResult, openSource, unlessFinished, type GivenDatastore } from './derive.js';
import { optional, type Values } from './lm-task.js';

const commandLine: CommandLine = {
  program: 'merge_datastore',
  description:
    'Writes one datastore with the entries of several, in order; all shards of one give the whole.',
  options: mergeOptions,
  allowAbbreviations: true,
};

/** `merge_datastore`. */
export const mergeDatastoreCommand: Command = {
  commandLine,
  async run(parsed, context) {
    const { values } = parsed;
    const given = givenSources(values);
    const link = values['link'] === true;
    const { log, progress } = openTerminal(context);
    const folder = values['merged_datastore'] as string;
    const logger = log.named('knn_models_cli.merge_datastore');
    const sources: Datastore[] = [];
    try {
      for (const source of given) {
        logger.info(`Loading datastore from ${source.folder}`);
        sources.push(await openSource(source, logger));
      }
      if (link) checkPrecision(parsed, sources);
      const merge = link ? linkDatastores : mergeDatastores;
      const merged = await unlessFinished(logger, () =>
        merge(sources, folder, {
          dtype: values['merged_keys_dtype'] as KeysDtype,
          force: values['force'] === true,
          overwrite: overwriteRequested(values['overwrite'] === true),
          signal: context.signal,
          onProgress: progress.report,
          logger,
        }),
      );
      if (merged !== undefined) logger.info(`Merged datastore size: ${merged.rows}`);
      return { ...(await derivedResult(folder, merged)), linked: link };
    } finally {
      progress.close();
      for (const source of sources) source.close();
    }
  },
};

/** Keys that are not copied keep their precision, which is fp16 only where nothing else is said. */
function checkPrecision({ values, given }: ParsedArguments, sources: readonly Datastore[]): void {
  const isGiven = given.some(({ flags }) => flags.includes('--merged-keys-dtype'));
  const other = sources.find(({ dtype }) => isGiven && dtype !== values['merged_keys_dtype']);
  if (other === undefined) return;
  throw new UsageError(
    `argument --merged-keys-dtype: with --link keys stay as they are, ${other.dtype} in ${other.folder}`,
    '',
  );
}

function givenSources(values: Values): GivenDatastore[] {
  const folders = values['datastore_list'] as readonly string[];
  const sizes = listOf(values, 'datastore_size_list', folders.length)?.map(positive);
  const dtypes = listOf(values, 'keys_dtype_list', folders.length)?.map(precision);
  const dimension = optional(values['keys_dimension'] as number | null);
  return folders.map((folder, i) => ({ folder, rows: sizes?.[i], dtype: dtypes?.[i], dimension }));
}

function listOf(values: Values, name: string, length: number): readonly string[] | undefined {
  const list = optional(values[name] as readonly string[] | null);
  if (list === undefined || list.length === length) return list;
  const flag = `--${name.replaceAll('_', '-')}`;
  throw new UsageError(`argument ${flag}: ${list.length} values for ${length} datastores`, '');
}

function positive(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new UsageError(`argument --datastore-size-list: invalid int value: '${text}'`, '');
}

function precision(text: string): KeysDtype {
  if (text === 'fp16' || text === 'fp32') return text;
  throw new UsageError(
    `argument --keys-dtype-list: invalid choice: '${text}' (choose from 'fp16', 'fp32')`,
    '',
  );
}
