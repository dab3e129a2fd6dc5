import { loadAddon } from './native-engine.js';

/**
 * Gives memory back to the operating system that this process has freed, but that the C library keeps for its next use:
 * what the loading of a model leaves behind (17 MB of 194 during generation). Takes some milliseconds. Without the native
 * engine, and where the C library is not glibc, nothing happens.
 */
export function releaseFreeMemory(): void {
  const loaded = loadAddon();
  if ('addon' in loaded) loaded.addon.releaseFreeMemory();
}
