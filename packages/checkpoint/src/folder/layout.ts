/** What the files of a model folder are called, and how its weights lie. */
export const folderLayout = {
  /** Says what the folder is and holds; written last, so that a folder without it is not one. */
  configFile: 'config.json',
  /** All tensors, float32. */
  weightsFile: 'weights.bin',
  /** Says that a `config.json` is ours. */
  format: 'knn-lm model folder',
  /** Raised when older folders have to be made again. */
  version: 1,
  /** Tensors begin at multiples of this: a cache line, and the widest vector register. */
  alignment: 64,
} as const;
