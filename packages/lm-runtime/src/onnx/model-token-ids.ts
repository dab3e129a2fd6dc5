import type { LmRunBatch } from '../batch.js';
import { LmRuntimeError } from '../errors.js';

/** fairseq's dictionaries have `<pad>` here. */
export const dictionaryPadIndex = 1;

/** In place of what no wanted position depends on: any id that every model has. */
const anyModelId = 0;

/** `</s>` and `<unk>`: texts have these where a tokenizer gives their token, which may also be that of `<s>`. */
const preferredIds = [2, 3];

/** Marks a dictionary id that the model has no token for. */
const none = -1;

/**
 * Which token of an exported model each entry of a dictionary is. A text that was binarized with the tokenizer of the
 * model has fairseq's ids, with four special symbols first; the model has its own.
 */
export class ModelTokenIds {
  /** Number of entries of the dictionary. */
  readonly dictionarySize: number;
  readonly #modelIds: Int32Array;
  /** The entry of the dictionary that stands for a token of the model in texts, by the model's id. */
  readonly #entryOf: Int32Array;

  /**
   * Checks that the ids fit the model. Padding never has a counterpart: it is neither fed nor scored.
   *
   * @param modelIds - `[dictionary size]`: dictionary id to the model's own id, -1 where it has none
   * @param modelVocabSize - ids of the model are below this
   * @throws LmRuntimeError `MODEL_TOKEN_IDS`
   */
  constructor(modelIds: Int32Array, modelVocabSize: number) {
    const wrong = modelIds.findIndex((id) => id < none || id >= modelVocabSize);
    if (wrong >= 0) {
      throw unfit(
        `dictionary id ${wrong} has the model's id ${modelIds[wrong]}, but it has 0 to ${modelVocabSize - 1}`,
      );
    }
    this.#modelIds = Int32Array.from(modelIds);
    if (modelIds.length > dictionaryPadIndex) this.#modelIds[dictionaryPadIndex] = none;
    if (this.#modelIds.every((id) => id === none)) {
      throw unfit(`none of the ${modelIds.length} entries of the dictionary has an id of the model`);
    }
    this.dictionarySize = modelIds.length;
    this.#entryOf = new Int32Array(modelVocabSize).fill(none);
    const inOrder = [...preferredIds, ...this.#modelIds.keys()];
    for (const id of inOrder) {
      const modelId = this.#modelIds[id] ?? none;
      if (modelId !== none && this.#entryOf[modelId] === none) this.#entryOf[modelId] = id;
    }
  }

  /**
   * A batch in the model's own ids. What comes after the last wanted position of a row does not matter and is not read.
   *
   * @param batch - a checked batch in dictionary ids
   * @param needsTargets - whether targets are read
   * @throws LmRuntimeError `TOKEN_WITHOUT_MODEL_ID`, `TARGET_WITHOUT_MODEL_ID` with the id, its row and its column
   */
  toModel(batch: LmRunBatch, needsTargets: boolean): LmRunBatch {
    const { width, positions } = batch;
    const tokens = new Int32Array(batch.tokens.length).fill(anyModelId);
    const targets = new Int32Array(needsTargets ? batch.targets.length : 0);
    let done = 0;
    for (const position of positions) {
      const rowStart = Math.floor(position / width) * width;
      for (let i = Math.max(done, rowStart); i <= position; i++) {
        tokens[i] = this.modelId('TOKEN', batch.tokens[i], i, width);
      }
      done = position + 1;
      if (needsTargets) targets[position] = this.modelId('TARGET', batch.targets[position], position, width);
    }
    return { ...batch, tokens, targets };
  }

  /**
   * A distribution over the dictionary. What the model gives to tokens that are not in the dictionary is lost; of several
   * entries that are the same token `</s>` or `<unk>`, or else the first one, has its probability.
   *
   * @param logProbs - `[model's vocabulary]` natural logarithms
   * @returns `[dictionary size]`; minus infinity where the model has no token
   */
  toDictionary(logProbs: Float32Array): Float32Array {
    return Float32Array.from(this.#modelIds, (modelId, id) =>
      modelId !== none && this.#entryOf[modelId] === id ? logProbs[modelId] : -Infinity,
    );
  }

  /**
   * The model's id of a token.
   *
   * @param kind - what it is, for the message
   * @param index - where it stands: row * width + column
   * @throws LmRuntimeError `TOKEN_WITHOUT_MODEL_ID`, `TARGET_WITHOUT_MODEL_ID`
   */
  modelId(kind: 'TOKEN' | 'TARGET', id: number, index: number, width: number): number {
    const modelId = this.#modelIds[id];
    if (modelId !== none) return modelId;
    const row = Math.floor(index / width);
    const column = index % width;
    throw new LmRuntimeError(
      `${kind}_WITHOUT_MODEL_ID`,
      `${kind.toLowerCase()} ${id} in row ${row}, column ${column} is no token of the model`,
      {
        hint:
          id === dictionaryPadIndex
            ? 'It is the padding symbol, which cannot stand in a text.'
            : 'Binarize the text with the tokenizer.json that belongs to this model.',
        details: { id, row, column },
      },
    );
  }
}

function unfit(problem: string): LmRuntimeError {
  return new LmRuntimeError('MODEL_TOKEN_IDS', `the token ids do not fit the model: ${problem}`, {
    hint: 'Binarize the text with the tokenizer.json that belongs to this model.',
  });
}
