import { loadAddon } from './native.js';

/** Which Faiss this package works with. */
export interface FaissInfo {
  /** Version of Faiss, such as `1.7.3`. */
  readonly version: string;
  /** What it is compiled for: `avx2`, or `generic`, which any processor of this kind can run. */
  readonly optimization: 'avx2' | 'generic';
  /** Build and processor kernel of OpenBLAS in its own words; `undefined` for another BLAS. */
  readonly openBlas: string | undefined;
}

/**
 * Says which Faiss is in use.
 *
 * @throws {@link FaissError} `FAISS_ADDON_MISSING`
 *
 * @example
 * ```ts
 * const { version, optimization } = faissInfo();
 * console.log(`Faiss ${version}, ${optimization}`);
 * ```
 */
export function faissInfo(): FaissInfo {
  const { version, compileOptions, blas } = loadAddon().library;
  return {
    version,
    optimization: /\bAVX2\b/.test(compileOptions) ? 'avx2' : 'generic',
    openBlas: blas === '' ? undefined : blas.trim(),
  };
}
