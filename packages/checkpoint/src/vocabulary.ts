import { CheckpointError } from './errors.js';

/**
 * Number of words of a model, from the rows of its embedding: a checkpoint does not hold its dictionary.
 *
 * @param path - the checkpoint, for the message
 * @param shapes - shapes of the tensors by name
 * @throws {@link CheckpointError} `CHECKPOINT_TENSOR_MISSING`
 */
export function countVocabulary(path: string, shapes: ReadonlyMap<string, readonly number[]>): number {
  const plain = shapes.get('decoder.embed_tokens.weight')?.[0];
  if (plain !== undefined) return plain;
  let words = 0;
  for (let band = 0; ; band++) {
    const rows = shapes.get(`decoder.embed_tokens.embeddings.${band}.0.weight`)?.[0];
    if (rows === undefined) break;
    words += rows;
  }
  if (words > 0) return words;
  throw new CheckpointError(
    'CHECKPOINT_TENSOR_MISSING',
    `${path}: has no token embedding (decoder.embed_tokens.weight or decoder.embed_tokens.embeddings.0.0.weight)`,
    { hint: 'Give the checkpoint of a transformer language model.', details: { path } },
  );
}
