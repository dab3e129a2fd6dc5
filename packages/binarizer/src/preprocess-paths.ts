import { join } from 'node:path';
import { shownLanguage } from './preprocess-log.js';
import type { CheckedPreprocessOptions } from './preprocess-options.js';

/** A text's path: the prefix, and the language if there is one. */
export function inputName(prefix: string, lang: string | undefined): string {
  return lang ? `${prefix}.${lang}` : prefix;
}

/** Path of a file in the destination folder, with the language if there is one. */
export function destinationPath(name: string, lang: string | undefined, destdir: string): string {
  return join(destdir, inputName(name, lang));
}

/** Path of a dataset without `.bin` and `.idx`; `train.en-de.en` where there are languages. */
export function datasetPrefix(
  split: string,
  lang: string | undefined,
  options: CheckedPreprocessOptions,
): string {
  const base = join(options.destdir, split);
  const pair = `${shownLanguage(options.sourceLang)}-${shownLanguage(options.targetLang)}`;
  if (lang) return `${base}.${pair}.${lang}`;
  return options.onlySource ? base : `${base}.${pair}`;
}

/** Every split with its prefix: `train`, then `valid`, `valid1`…, then `test`, `test1`… */
export function splitsOf(options: CheckedPreprocessOptions): { split: string; prefix: string }[] {
  const numbered = (name: string, prefixes: string | undefined) =>
    (prefixes ? prefixes.split(',') : []).map((prefix, k) => ({
      split: k > 0 ? `${name}${k}` : name,
      prefix,
    }));
  return [
    ...(options.trainpref ? [{ split: 'train', prefix: options.trainpref }] : []),
    ...numbered('valid', options.validpref),
    ...numbered('test', options.testpref),
  ];
}
