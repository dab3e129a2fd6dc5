import { contentOf } from './content.js';
import type { Datastore } from './datastore.js';
import type { Derived } from './derive.js';
import { selectRows, type RowSelection, type SelectOptions } from './select.js';

/**
 * Writes the datastore of the rows that are chosen, in their order. Its identity names the content it was pruned from.
 *
 * @param source - open, with its keys
 * @param chosen - the rows that stay
 * @param folder - of the new datastore
 * @param options - how they were chosen (`identity`), how to watch and stop
 * @throws {@link DatastoreError} as {@link selectRows}
 */
export async function pruneToRows(
  source: Datastore,
  chosen: RowSelection,
  folder: string,
  options: SelectOptions,
): Promise<Derived> {
  return selectRows(source, chosen, folder, {
    ...options,
    identity: { ...options.identity, prunedFrom: contentOf(source) },
  });
}
