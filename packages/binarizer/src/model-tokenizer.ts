import { FIRST_TOKEN, type TokenMap } from './token-map.js';
import { damagedTokenizer, type TokenizerFile } from './tokenizer-file.js';
import { BinarizerError } from './errors.js';

const EOS = 2;
const UNK = 3;

/** What is used of the library. (Its own types do not resolve in ES modules: their imports lack file names.) */
interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
}

interface Library {
  readonly Tokenizer: new (json: object, config: object) => LibraryTokenizer;
}

/** A tokenizer of Hugging Face, which gives and takes ids of the data's dictionary. */
export class ModelTokenizer {
  readonly #tokenizer: LibraryTokenizer;
  readonly #path: string;
  /** Dictionary id of each of its ids; -1 where there is none. */
  readonly #dictionaryIds: Int32Array;
  readonly #modelIds: Int32Array;

  private constructor(tokenizer: LibraryTokenizer, path: string, map: Pick<TokenMap, 'modelIds'>) {
    this.#tokenizer = tokenizer;
    this.#path = path;
    this.#modelIds = map.modelIds;
    this.#dictionaryIds = new Int32Array(map.modelIds.length - FIRST_TOKEN).fill(-1);
    for (let id = FIRST_TOKEN; id < map.modelIds.length; id++) {
      if (map.modelIds[id] >= 0) this.#dictionaryIds[map.modelIds[id]] = id;
    }
    for (const id of [UNK, EOS]) if (map.modelIds[id] >= 0) this.#dictionaryIds[map.modelIds[id]] = id;
  }

  /**
   * Makes a tokenizer. The library that does the work is loaded when the first one is made.
   *
   * @param file - its description
   * @param map - its place in the dictionary
   * @throws {@link BinarizerError} `TOKENIZER_DAMAGED` when the library cannot make one of it
   */
  static async create(file: TokenizerFile, map: Pick<TokenMap, 'modelIds'>): Promise<ModelTokenizer> {
    const library = (await import('@huggingface/tokenizers')) as unknown as Library;
    try {
      return new ModelTokenizer(new library.Tokenizer(file.json, file.config), file.path, map);
    } catch (cause) {
      throw damagedTokenizer(file.path, `cannot be used: ${(cause as Error).message}`, cause);
    }
  }

  /**
   * Encodes text, without the tokens that some models want at its ends.
   *
   * @param text - any length; long texts are better cut first
   * @returns ids of the dictionary
   * @throws {@link BinarizerError} `TOKENIZER_FAILED` for text that the tokenizer has no ids for
   */
  encode(text: string): number[] {
    let ids: readonly (number | undefined)[];
    try {
      ids = this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
    } catch (cause) {
      throw this.#failed(text, (cause as Error).message, cause);
    }
    return ids.map((id) => {
      const known = id === undefined ? -1 : (this.#dictionaryIds[id] ?? -1);
      if (known < 0) throw this.#failed(text, `it gave the id ${String(id)}`);
      return known;
    });
  }

  /** The text of dictionary ids; those that the model does not have are left out. */
  decode(ids: Iterable<number>): string {
    const modelIds = Array.from(ids, (id) => this.#modelIds[id] ?? -1).filter((id) => id >= 0);
    if (modelIds.length === 0) return '';
    return this.#tokenizer.decode(modelIds, {
      skip_special_tokens: false,
      clean_up_tokenization_spaces: false,
    });
  }

  #failed(text: string, reason: string, cause?: unknown): BinarizerError {
    const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
    return new BinarizerError(
      'TOKENIZER_FAILED',
      `${this.#path}: cannot encode ${JSON.stringify(shown)}: ${reason}`,
      {
        hint: 'The tokenizer has no token for unknown text; choose another, or take the text out.',
        details: { path: this.#path, found: shown },
        cause,
      },
    );
  }
}
