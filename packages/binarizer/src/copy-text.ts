import { throwIfAborted, writeFileAtomic, describeFileError } from '@knn-lm/common';
import type { InputText } from './input-files.js';
import { openTextSource, PIECE_BYTES } from './text-source.js';

const LF = 0x0a;
const CR = 0x0d;

/**
 * Copies a text as it is (a compressed one as what it holds). Of several files each but the last is given the line end
 * that it may lack.
 *
 * @param text - the files
 * @param path - the copy
 * @param signal - stops between two pieces
 * @throws BinarizerError `TEXT_NOT_GZIP`
 * @throws KnnLmError `FILE_…`; CancelledError
 */
export async function copyText(text: InputText, path: string, signal?: AbortSignal): Promise<void> {
  const buffer = new Uint8Array(PIECE_BYTES);
  try {
    await writeFileAtomic(path, async (target) => {
      let lastByte = LF;
      for (const file of text.files) {
        if (lastByte !== LF && lastByte !== CR) await target.writeFile('\n');
        const source = await openTextSource({ path: file.path, start: 0, end: file.size }, signal);
        try {
          for (let count = -1; count !== 0;) {
            throwIfAborted(signal, `stopped while copying ${file.path}`);
            count = await source.read(buffer);
            await target.writeFile(buffer.subarray(0, count));
            if (count > 0) lastByte = buffer[count - 1];
          }
        } finally {
          await source.close();
        }
      }
    });
  } catch (cause) {
    throw describeFileError(cause, path, 'copy the text');
  }
}
