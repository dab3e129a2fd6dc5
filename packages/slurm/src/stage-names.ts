/** The stages of the recipe, in an order in which they can run. */
export const stageNames = [
  'preprocess',
  'convert',
  'generate',
  'merge',
  'train',
  'add',
  'join',
  'evaluate',
  'reduce',
] as const;

/** Name of a stage; its script is `NAME.sbatch`. */
export type StageName = (typeof stageNames)[number];
