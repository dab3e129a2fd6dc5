import type { Logger } from '@knn-lm/common';
import { requireAddon } from '@knn-lm/faiss';
import type { EngineName, IndexEngine } from './engine.js';
import { loadFaissNode } from './faiss-node-engine.js';
import { nativeEngine } from './native-engine.js';

/**
 * Loads an engine. Where the addon is not compiled and `faiss-node` is installed, that one is used, and says so.
 *
 * @param name - the engine wanted
 * @param logger - hears of the substitution
 * @param loaders - how the two are loaded
 * @throws `FaissError` `FAISS_ADDON_MISSING`; `KnnIndexError` `KNN_INDEX_ENGINE_MISSING`
 */
export async function openEngine(
  name: EngineName = 'native',
  logger?: Logger,
  loaders = { requireAddon, loadFaissNode },
): Promise<IndexEngine> {
  if (name === 'faiss-node') return loaders.loadFaissNode();
  try {
    loaders.requireAddon();
    return nativeEngine;
  } catch (missing) {
    const substitute = await loaders.loadFaissNode().catch(() => undefined);
    if (substitute === undefined) throw missing;
    logger?.info('The Faiss addon is not compiled: using faiss-node, which is slower.');
    return substitute;
  }
}
