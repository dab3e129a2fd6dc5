import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { DatasetFormat } from './dataset-index.js';
import { Dictionary } from './dictionary.js';
import { BinarizerError } from './errors.js';
import { IndexedDataset } from './indexed-dataset.js';
import { RawDataset } from './raw-dataset.js';
import type { TokenDataset } from './token-dataset.js';

/** Options of {@link openDataset}. */
export interface OpenDatasetOptions {
  /** The format; found by itself when left out, as fairseq does. `mmap`, `cached` and `lazy` are told by the files. */
  readonly impl?: DatasetFormat | undefined;
  /** Needed for `raw`; with it, ids that it does not have are an error. */
  readonly dictionary?: Dictionary | undefined;
}

/**
 * Opens one split.
 *
 * @param prefix - `data-bin/test` for `data-bin/test.bin` and `data-bin/test.idx`, or the path of a text file
 * @param options - format and dictionary
 * @throws {@link BinarizerError} `DATASET_NOT_FOUND` (with the splits that are there), `IDX_…`, `BIN_SIZE`,
 * `DICTIONARY_NEEDED`, `TEXT_NOT_UTF8`
 * @throws KnnLmError `FILE_…`
 *
 * @example
 * ```ts
 * const dataset = await openDataset('data-bin/test');
 * console.log(dataset.length, dataset.tokenCount, dataset.sentence(0), dataset.readTokens(0, 10));
 * dataset.close();
 * ```
 */
export async function openDataset(prefix: string, options: OpenDatasetOptions = {}): Promise<TokenDataset> {
  const { impl, dictionary } = options;
  const isRaw = impl === 'raw' || (impl === undefined && isFile(prefix));
  if (isRaw) {
    if (!isFile(prefix)) throw notFound(prefix, 'no text file of that name');
    if (dictionary === undefined) throw dictionaryNeeded(prefix);
    return RawDataset.open(prefix, dictionary);
  }
  const missing = ['.idx', '.bin'].filter((suffix) => !existsSync(prefix + suffix));
  if (missing.length > 0) {
    throw notFound(prefix, `no ${missing.map((suffix) => basename(prefix) + suffix).join(' and no ')} there`);
  }
  return new IndexedDataset(prefix, dictionary?.size);
}

/** What {@link openDataBin} finds. */
export interface DataBin {
  /** `dict.txt` of the folder. */
  readonly dictionary: Dictionary;
  /** The split. */
  readonly dataset: TokenDataset;
  /** Folder and split. */
  readonly prefix: string;
}

/**
 * Opens the dictionary and one split of a data-bin folder.
 *
 * @param data - the folder; of several, separated by colons, the first counts, as in fairseq's evaluation
 * @param split - `train`, `valid`, `test`, `valid1`…
 * @param options - the format, if it should not be found by itself
 * @throws {@link BinarizerError} `DATA_BIN_NOT_FOUND`, and what {@link openDataset} and {@link Dictionary.load} throw
 *
 * @example
 * ```ts
 * const { dictionary, dataset } = await openDataBin('data-bin', 'test');
 * console.log(dictionary.decode(dataset.sentence(0)));
 * ```
 */
export async function openDataBin(
  data: string,
  split: string,
  options: Pick<OpenDatasetOptions, 'impl'> = {},
): Promise<DataBin> {
  const folder = data.split(':')[0];
  const dictionaryPath = join(folder, 'dict.txt');
  if (!existsSync(dictionaryPath)) throw noDataBin(folder);
  const dictionary = await Dictionary.load(dictionaryPath);
  const prefix = join(folder, split);
  // fairseq-preprocess --dataset-impl raw writes this name, which fairseq's own language modelling task does not find.
  const rawName = `${prefix}.None-None`;
  const found = !existsSync(`${prefix}.idx`) && !isFile(prefix) && isFile(rawName) ? rawName : prefix;
  return { dictionary, dataset: await openDataset(found, { ...options, dictionary }), prefix };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function notFound(prefix: string, reason: string): BinarizerError {
  const folder = dirname(prefix);
  const splits = splitsIn(folder);
  const hint =
    splits === undefined
      ? `There is no folder ${folder}; check the path.`
      : splits.length === 0
        ? `${folder} holds no dataset; make one with fairseq-preprocess.`
        : `${folder} holds: ${splits.join(', ')}.`;
  return new BinarizerError(
    'DATASET_NOT_FOUND',
    `Dataset not found: ${basename(prefix)} (${prefix}): ${reason}`,
    {
      hint,
      details: { path: prefix, expected: splits?.join(', ') },
    },
  );
}

function splitsIn(folder: string): string[] | undefined {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return undefined;
  const names = new Set(readdirSync(folder));
  return [...names]
    .filter((name) => name.endsWith('.idx') && names.has(name.replace(/\.idx$/, '.bin')))
    .map((name) => name.slice(0, -'.idx'.length))
    .sort();
}

function dictionaryNeeded(path: string): BinarizerError {
  return new BinarizerError('DICTIONARY_NEEDED', `${path}: is text, which needs a dictionary to become ids`, {
    hint: 'Pass the option dictionary: await Dictionary.load(…).',
    details: { path },
  });
}

function noDataBin(folder: string): BinarizerError {
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
  return new BinarizerError(
    'DATA_BIN_NOT_FOUND',
    isFolder ? `${folder}: there is no dict.txt in it` : `${folder}: there is no such folder`,
    {
      hint: 'Give the folder that fairseq-preprocess wrote (--destdir), which holds dict.txt, test.bin and test.idx.',
      details: { path: folder, expected: 'dict.txt' },
    },
  );
}
