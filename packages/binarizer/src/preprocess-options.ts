import type { DatasetFormat } from './dataset-index.js';
import { BinarizerError } from './errors.js';
import { invalidOption, wholeNumber } from './option-checks.js';

/** What `preprocess` does; the names and defaults are those of `fairseq-preprocess`. */
export interface PreprocessOptions {
  /**
   * Text to build the dictionary from and to encode as `train`: a path, a pattern (`corpus/*.txt`, one text), or `-` for
   * standard input. What is compressed with gzip is read as what it holds.
   */
  readonly trainpref?: string | undefined;
  /** Texts to encode as `valid`, `valid1`…, separated by commas; each a path or a pattern. */
  readonly validpref?: string | undefined;
  /** Texts to encode as `test`, `test1`…, separated by commas; each a path or a pattern. */
  readonly testpref?: string | undefined;
  /** Folder to write into; it is made. @defaultValue `data-bin` */
  readonly destdir?: string | undefined;
  /** Encode one language only, without languages in the file names: what language models need. @defaultValue false */
  readonly onlySource?: boolean | undefined;
  /** Use this dictionary instead of building one. */
  readonly srcdict?: string | undefined;
  /** The same for the target language. */
  readonly tgtdict?: string | undefined;
  /** Words that occur less often become `<unk>`. @defaultValue 0 */
  readonly thresholdsrc?: number | undefined;
  /** The same for the target language. @defaultValue 0 */
  readonly thresholdtgt?: number | undefined;
  /** Largest dictionary, with the 4 special symbols, before padding; 0 or less is no limit. @defaultValue -1 */
  readonly nwordssrc?: number | undefined;
  /** The same for the target language. @defaultValue -1 */
  readonly nwordstgt?: number | undefined;
  /** The dictionary is padded to a multiple of this size; 0 and 1 do not pad. @defaultValue 8 */
  readonly paddingFactor?: number | undefined;
  /** One dictionary of both languages. @defaultValue false */
  readonly joinedDictionary?: boolean | undefined;
  /** Write the dictionary, and no dataset. @defaultValue false */
  readonly dictOnly?: boolean | undefined;
  /** Source language: texts are `PREFIX.LANGUAGE`. */
  readonly sourceLang?: string | undefined;
  /** Target language. */
  readonly targetLang?: string | undefined;
  /** Format of the datasets. @defaultValue `mmap` */
  readonly datasetImpl?: DatasetFormat | undefined;
  /** Threads; what is written does not depend on it. @defaultValue 1 */
  readonly workers?: number | undefined;
  /** Texts with fewer bytes a thread are done with fewer threads. @defaultValue 16 MiB */
  readonly leastBytesPerWorker?: number | undefined;
  /** File of word alignments (`0-0 1-2 …` lines) of the training text, for a lexical dictionary. */
  readonly alignfile?: string | undefined;
  /** Suffix of the alignment files that lie beside the texts, to be encoded as `train.align`… */
  readonly alignSuffix?: string | undefined;
  /**
   * `tokenizer.json` of a Hugging Face tokenizer, or the folder that holds it: text is encoded with it instead of a
   * dictionary of words. Needs `onlySource`; `tokenizer_config.json` is read if it lies beside it.
   */
  readonly tokenizer?: string | undefined;
  /** The token that ends each line, and which `</s>` stands for. @defaultValue `eos_token` of `tokenizer_config.json` */
  readonly tokenizerEos?: string | undefined;
  /**
   * Encode each file as one text in which line ends are characters like others, and add no token at line ends: what
   * perplexities over a sliding window of the whole text are computed on. One thread works on a file. @defaultValue false
   */
  readonly tokenizerKeepNewlines?: boolean | undefined;
  /** First line of `preprocess.log`: the command line's arguments as the caller shows them. */
  readonly argumentDump?: string | undefined;
}

/** One of the two languages of a text (the only one, without a name, for language models). */
export interface Side {
  /** The option's suffix. */
  readonly name: 'src' | 'tgt';
  readonly lang: string | undefined;
  readonly dictionaryPath: string | undefined;
  readonly threshold: number;
  readonly nwords: number;
}

/** {@link PreprocessOptions} with the defaults filled in. */
export interface CheckedPreprocessOptions extends PreprocessOptions {
  readonly destdir: string;
  readonly onlySource: boolean;
  readonly paddingFactor: number;
  readonly joinedDictionary: boolean;
  readonly datasetImpl: DatasetFormat;
  readonly workers: number;
  readonly leastBytesPerWorker: number;
  /** The source, and unless `onlySource` the target. */
  readonly sides: readonly Side[];
}

const formats: readonly DatasetFormat[] = ['mmap', 'cached', 'lazy', 'raw'];
const MAX_WORKERS = 1024;
/** A thread takes 0.15 s to begin and to have its loops compiled, in which another one does 8 MB. */
const DEFAULT_LEAST_BYTES = 2 ** 24;

/** A model's tokenizer takes longer, and so long to begin as for 300 kB. */
const DEFAULT_LEAST_BYTES_OF_TOKENIZER = 2 ** 20;

/** Fills in the defaults and refuses what cannot work. @throws {@link BinarizerError} `OPTION_INVALID`, `OPTION_CONFLICT` */
export function checkPreprocessOptions(options: PreprocessOptions): CheckedPreprocessOptions {
  const { onlySource = false, joinedDictionary = false, datasetImpl = 'mmap' } = options;
  if (!formats.includes(datasetImpl)) {
    throw invalidOption(
      'dataset-impl',
      datasetImpl,
      `${formats.join(', ')} (fasta and huffman are not written here)`,
    );
  }
  if (joinedDictionary && options.srcdict !== undefined && options.tgtdict !== undefined) {
    throw new BinarizerError(
      'OPTION_CONFLICT',
      'cannot use both --srcdict and --tgtdict with --joined-dictionary',
      { hint: 'Leave one of the two out.' },
    );
  }
  checkTokenizerOptions(options);
  const source: Side = {
    name: 'src',
    lang: options.sourceLang,
    dictionaryPath: options.srcdict,
    threshold: wholeNumber('thresholdsrc', options.thresholdsrc ?? 0),
    nwords: wholeNumber('nwordssrc', options.nwordssrc ?? -1),
  };
  const target: Side = {
    name: 'tgt',
    lang: options.targetLang,
    dictionaryPath: options.tgtdict,
    threshold: wholeNumber('thresholdtgt', options.thresholdtgt ?? 0),
    nwords: wholeNumber('nwordstgt', options.nwordstgt ?? -1),
  };
  return {
    ...options,
    destdir: options.destdir ?? 'data-bin',
    onlySource,
    paddingFactor: wholeNumber('padding-factor', options.paddingFactor ?? 8),
    joinedDictionary,
    datasetImpl,
    workers: wholeNumber('workers', options.workers ?? 1, 1, MAX_WORKERS),
    leastBytesPerWorker: wholeNumber(
      'leastBytesPerWorker',
      options.leastBytesPerWorker ??
        (options.tokenizer === undefined ? DEFAULT_LEAST_BYTES : DEFAULT_LEAST_BYTES_OF_TOKENIZER),
      1,
    ),
    sides: onlySource ? [source] : [source, target],
  };
}

/** What makes a dictionary of words has no meaning where a tokenizer has its own. */
function checkTokenizerOptions(options: PreprocessOptions): void {
  const conflict = (message: string, option: string, hint: string) =>
    new BinarizerError('OPTION_CONFLICT', message, { hint, details: { option } });
  if (options.tokenizer === undefined) {
    if (options.tokenizerEos === undefined && options.tokenizerKeepNewlines !== true) return;
    throw conflict(
      '--tokenizer-eos and --tokenizer-keep-newlines need --tokenizer',
      'tokenizer',
      'Add --tokenizer.',
    );
  }
  if (options.onlySource !== true) {
    throw conflict('--tokenizer needs --only-source', 'only-source', 'Add --only-source.');
  }
  const names = [
    'srcdict',
    'tgtdict',
    'joinedDictionary',
    'sourceLang',
    'targetLang',
    'alignfile',
    'alignSuffix',
  ] as const;
  const other = names.find((name) => Boolean(options[name]));
  const limits = ['thresholdsrc', 'nwordssrc'] as const;
  const limit = limits.find((name) => (options[name] ?? 0) > 0);
  const raw = options.datasetImpl === 'raw' ? 'datasetImpl raw' : undefined;
  const found = other ?? limit ?? raw;
  if (found === undefined) return;
  throw conflict(`--tokenizer and ${found} cannot be used together`, found, 'Leave one of the two out.');
}
