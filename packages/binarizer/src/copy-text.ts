import { describeFileError, writeFileAtomic } from '@knn-lm/common';
import { appendFileTo } from './append-file.js';
import type { InputText } from './input-files.js';

const LF = 0x0a;
const CR = 0x0d;

/**
 * Copies a text as it is. Of several files each but the last is given the line end that it may lack.
 *
 * @param text - the files
 * @param path - the copy
 * @throws KnnLmError `FILE_…`
 */
export async function copyText(text: InputText, path: string): Promise<void> {
  try {
    await writeFileAtomic(path, async (target) => {
      for (const [i, file] of text.files.entries()) {
        const lastByte = await appendFileTo(target, file.path);
        const isOpen = lastByte !== undefined && lastByte !== LF && lastByte !== CR;
        if (isOpen && i < text.files.length - 1) await target.writeFile('\n');
      }
    });
  } catch (cause) {
    throw describeFileError(cause, path, 'copy the text');
  }
}
