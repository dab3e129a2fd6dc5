/**
 * Test support: golden files and NumPy arrays.
 *
 * @packageDocumentation
 */
export { fixturesFolder, fixture, repositoryFile } from './fixtures.js';
export { readNpy, readNpz, type NpyArray } from './npy.js';
