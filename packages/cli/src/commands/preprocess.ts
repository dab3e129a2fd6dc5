import {
  preprocess,
  type Dictionary,
  type PreprocessOptions,
  type PreprocessResult,
} from '@knn-lm/binarizer';
import { destination, type OptionValue } from '../options/option.js';
import { commonOptions, preprocessOptions, registryOptions } from '../options/fairseq.js';
import type { CommandLine, ParsedArguments } from '../options/parse.js';
import { tokenizerOption, tokenizerOptions, tokenizerPath } from '../options/tokenizer.js';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import type { Command } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { optional } from './lm-task.js';

/** The options of Python, in its order. */
const pythonOptions = [...commonOptions, ...registryOptions('translation'), ...preprocessOptions].map(
  (option) => (destination(option) === 'tokenizer' ? tokenizerOption : option),
);

const commandLine: CommandLine = {
  program: 'fairseq-preprocess',
  description: 'Makes a dictionary and binarizes texts.',
  options: [...pythonOptions, ...tokenizerOptions],
};

/** `fairseq-preprocess`. */
export const preprocessCommand: Command = {
  commandLine,
  async run(parsed, context) {
    const { log, progress } = openTerminal(context, parsed.values);
    const logger = log.named('fairseq_cli.preprocess');
    reportOptionsWithoutEffect(parsed, logger);
    try {
      const startMs = performance.now();
      const { signal } = context;
      const done = await preprocess(preprocessArguments(parsed), {
        signal,
        onProgress: progress.report,
        logger,
      });
      return { ...preprocessResult(done), seconds: (performance.now() - startMs) / 1000 };
    } finally {
      progress.close();
    }
  },
};

function preprocessResult({ destdir, dictionary, targetDictionary, splits }: PreprocessResult) {
  const about = ({ size, fingerprint }: Dictionary) => ({ symbols: size, fingerprint });
  return {
    destdir,
    dictionary: about(dictionary),
    target_dictionary: targetDictionary === undefined ? null : about(targetDictionary),
    splits: splits.map(({ split, input, prefix, sentences, tokens, replaced }) => ({
      split,
      input,
      prefix,
      sentences,
      tokens,
      replaced,
      replaced_percent: tokens === 0 ? 0 : (100 * replaced) / tokens,
    })),
  };
}

function preprocessArguments(parsed: ParsedArguments): PreprocessOptions {
  const { values } = parsed;
  const text = (name: string) => optional(values[name] as string | null);
  return {
    sourceLang: text('source_lang'),
    targetLang: text('target_lang'),
    trainpref: text('trainpref'),
    validpref: text('validpref'),
    testpref: text('testpref'),
    alignSuffix: text('align_suffix'),
    alignfile: text('alignfile'),
    destdir: values['destdir'] as string,
    thresholdsrc: values['thresholdsrc'] as number,
    thresholdtgt: values['thresholdtgt'] as number,
    nwordssrc: values['nwordssrc'] as number,
    nwordstgt: values['nwordstgt'] as number,
    srcdict: text('srcdict'),
    tgtdict: text('tgtdict'),
    datasetImpl: values['dataset_impl'] as PreprocessOptions['datasetImpl'],
    joinedDictionary: values['joined_dictionary'] === true,
    onlySource: values['only_source'] === true,
    paddingFactor: values['padding_factor'] as number,
    workers: values['workers'] as number,
    dictOnly: values['dict_only'] === true,
    tokenizer: tokenizerPath(text('tokenizer')),
    tokenizerEos: text('tokenizer_eos'),
    tokenizerKeepNewlines: values['tokenizer_keep_newlines'] === true,
    argumentDump: argumentDump(parsed),
  };
}

/** The first line of preprocess.log: Python's `repr` of all arguments, in the order of fairseq's option tables. */
function argumentDump({ values }: ParsedArguments): string {
  const floats = new Set(pythonOptions.filter((option) => option.type === 'float').map(destination));
  const fields = pythonOptions.map((option) => {
    const name = destination(option);
    return `${name}=${pythonRepr(values[name], floats.has(name))}`;
  });
  return `Namespace(${fields.join(', ')})`;
}

function pythonRepr(value: OptionValue, isFloat: boolean): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'number') return isFloat && Number.isInteger(value) ? `${value}.0` : String(value);
  if (typeof value !== 'string') return `[${value.map((item) => pythonRepr(item, false)).join(', ')}]`;
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const escaped = value
    .replaceAll('\\', '\\\\')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t');
  return `${quote}${escaped.replaceAll(quote, `\\${quote}`)}${quote}`;
}
