import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeFileError, type Logger } from '@knn-lm/common';
import { formatThreeDigits } from './python-number.js';

/** What was encoded of a text. */
export interface TextSummary {
  /** Lines. */
  readonly sentences: number;
  /** Words, and one `</s>` for each line. */
  readonly tokens: number;
  /** Words that became `<unk>`; a literal `<unk>` is not counted. */
  readonly replaced: number;
}

/** Sends lines to the logger and appends them to `preprocess.log`, as fairseq's file handler does. */
export class PreprocessLog {
  readonly #path: string;
  readonly #logger: Logger | undefined;

  constructor(destdir: string, logger: Logger | undefined) {
    this.#path = join(destdir, 'preprocess.log');
    this.#logger = logger;
  }

  /** Logs one line. */
  async line(text: string): Promise<void> {
    this.#logger?.info(text);
    try {
      await appendFile(this.#path, `${text}\n`);
    } catch (cause) {
      throw describeFileError(cause, this.#path, 'write the log');
    }
  }
}

/** Python shows a missing language as `None`. */
export function shownLanguage(lang: string | undefined): string {
  return lang ?? 'None';
}

/** fairseq's line about an encoded text. */
export function summaryLine(lang: string | undefined, input: string, summary: TextSummary): string {
  const { sentences, tokens, replaced } = summary;
  // Of a text without lines fairseq knows no percentage.
  const share = tokens === 0 ? '' : `, ${formatThreeDigits((100 * replaced) / tokens)}% replaced`;
  return `[${shownLanguage(lang)}] ${input}: ${sentences} sents, ${tokens} tokens${share} (by <unk>)`;
}
