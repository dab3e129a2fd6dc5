import { statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FaissError } from './errors.js';

/** A file of inverted lists beside an index (Faiss's `OnDiskInvertedLists`). */
export interface ListsFile {
  /** As the index names it. */
  readonly stored: string;
  /** Where it is: beside the index, or else where the index says. */
  readonly path: string;
  /** Bytes that it has to have. */
  readonly bytes: number;
}

/**
 * Finds the file that holds the lists of an index: beside the index, where it is after both were moved, or where the index
 * says.
 *
 * @throws {@link FaissError} `FAISS_LISTS_FILE` when it is missing or has fewer bytes than it has to have: reading beyond
 * the end of a mapped file would end the process
 */
export function findListsFile(indexPath: string, stored: string, bytes: number): ListsFile {
  const beside = join(dirname(indexPath), basename(stored));
  const path = [beside, stored].find((candidate) => sizeOf(candidate) !== undefined);
  if (path === undefined) {
    throw new FaissError(
      'FAISS_LISTS_FILE',
      `${indexPath}: its inverted lists are in ${stored}, which is missing`,
      {
        hint: `Put that file beside the index (${beside}), or build the index again.`,
        details: { path: indexPath, listsPath: stored },
      },
    );
  }
  const found = sizeOf(path) ?? 0;
  if (found >= bytes) return { stored, path, bytes };
  throw new FaissError(
    'FAISS_LISTS_FILE',
    `${indexPath}: the file of its inverted lists, ${path}, has ${found} bytes, but ${bytes} are expected`,
    {
      hint: 'The file is cut short or belongs to another index; copy it again, or build the index again.',
      details: { path: indexPath, listsPath: path, found, expected: bytes },
    },
  );
}

function sizeOf(path: string): number | undefined {
  const status = statSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true ? status.size : undefined;
}
