import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describeFileError, writeFileAtomic } from '@knn-lm/common';
import { BinarizerError } from './errors.js';
import {
  readTokenizerFile,
  specialId,
  TOKENIZER_CONFIG_NAME,
  TOKENIZER_NAME,
  type TokenizerFile,
} from './tokenizer-file.js';

/** Dictionary id of the tokenizer's id 0: those before are fairseq's special symbols. */
export const FIRST_TOKEN = 4;

const MAP_NAME = 'tokenizer.map.json';
const VERSION = 1;

/**
 * How the ids of a data-bin made with a tokenizer are those of the model. The dictionary's id of the token i is i + 4, as the
 * first four are fairseq's special symbols; the tokens that end a text and stand for unknown text have the ids 2 (`</s>`)
 * and 3 (`<unk>`).
 */
export interface TokenMap {
  /** `[size of the dictionary]` the model's id of each id of the dictionary; -1 where it has none. */
  readonly modelIds: Int32Array;
  /** SHA-256 of `tokenizer.json`, in hexadecimal. */
  readonly fingerprint: string;
  /** Whether line ends are tokens of the text; otherwise each line ends with `</s>`. */
  readonly keepsNewlines: boolean;
}

/** Which token ends a text, and whether lines do. */
export interface TokenMapOptions {
  /** The token that `</s>` stands for, instead of the `eos_token` of `tokenizer_config.json`. */
  readonly eos?: string | undefined;
  readonly keepsNewlines: boolean;
}

/**
 * The ids of a tokenizer in a dictionary: its id i is i + 4, and `</s>` and `<unk>` (2 and 3) stand for its tokens of that
 * meaning; so does `<s>` (0) for what begins a text.
 *
 * @throws {@link BinarizerError} `TOKENIZER_TOKEN_UNKNOWN`; `OPTION_MISSING` when lines end with a token that is not known
 */
export function tokenMapOf(file: TokenizerFile, { eos, keepsNewlines }: TokenMapOptions): TokenMap {
  const eosId = specialId(file, 'eos_token', eos);
  if (eosId === undefined && !keepsNewlines) throw eosMissing(file.path);
  const special = [specialId(file, 'bos_token'), specialId(file, 'pad_token'), eosId, file.unk];
  const modelIds = new Int32Array(FIRST_TOKEN + file.tokens.length);
  for (let id = 0; id < FIRST_TOKEN; id++) modelIds[id] = special[id] ?? -1;
  for (const [id, token] of file.tokens.entries()) modelIds[FIRST_TOKEN + id] = token === undefined ? -1 : id;
  return { modelIds, fingerprint: file.fingerprint, keepsNewlines };
}

/** Writes the tokenizer and its map beside the data. */
export async function writeTokenMap(
  folder: string,
  file: TokenizerFile,
  options: TokenMapOptions,
): Promise<void> {
  const { fingerprint, tokens } = file;
  const { eos, keepsNewlines } = options;
  const written = { version: VERSION, fingerprint, size: FIRST_TOKEN + tokens.length, eos, keepsNewlines };
  try {
    await writeFileAtomic(join(folder, TOKENIZER_NAME), file.bytes);
    if (file.configBytes !== undefined) {
      await writeFileAtomic(join(folder, TOKENIZER_CONFIG_NAME), file.configBytes);
    }
    await writeFileAtomic(join(folder, MAP_NAME), `${JSON.stringify(written, null, 2)}\n`);
  } catch (cause) {
    throw describeFileError(cause, folder, 'write the tokenizer');
  }
}

/**
 * Reads which ids of a model the ids of a data-bin are.
 *
 * @param dataBin - the folder
 * @returns `undefined` for data that was not made with a tokenizer
 * @throws {@link BinarizerError} `TOKEN_MAP_DAMAGED`, `TOKENIZER_…`
 * @throws KnnLmError `FILE_…`
 *
 * @example
 * ```ts
 * const map = await readTokenMap('data-bin');
 * const { dictionary, dataset } = await openDataBin('data-bin', 'test');
 * console.log(map?.modelIds.length === dictionary.size, dataset.sentence(0).map((id) => map?.modelIds[id] ?? id));
 * ```
 */
export async function readTokenMap(dataBin: string): Promise<TokenMap | undefined> {
  return (await readTokenizerOf(dataBin))?.map;
}

/** The tokenizer that lies beside the data, and its map. */
export async function readTokenizerOf(
  dataBin: string,
): Promise<{ readonly file: TokenizerFile; readonly map: TokenMap } | undefined> {
  const path = join(dataBin, MAP_NAME);
  if ((await stat(path).catch(() => undefined)) === undefined) return undefined;
  const written = await readMap(path);
  const file = await readTokenizerFile(join(dataBin, TOKENIZER_NAME));
  if (file.fingerprint !== written.fingerprint) {
    throw mapDamaged(path, `belongs to another tokenizer than ${file.path}`, file.fingerprint);
  }
  const map = tokenMapOf(file, written);
  if (map.modelIds.length !== written.size)
    throw mapDamaged(path, `is for ${written.size} ids`, map.modelIds.length);
  return { file, map };
}

interface WrittenMap extends TokenMapOptions {
  readonly fingerprint: string;
  readonly size: number;
}

async function readMap(path: string): Promise<WrittenMap> {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown> | null;
  } catch (cause) {
    if (!(cause instanceof SyntaxError))
      throw describeFileError(cause, path, 'read the map of the tokenizer');
    throw mapDamaged(path, `is no JSON: ${cause.message}`, 'JSON');
  }
  const { version, fingerprint, size, eos, keepsNewlines } = value ?? {};
  if (version !== VERSION) throw mapDamaged(path, `has version ${String(version)}`, VERSION);
  const isRight =
    typeof fingerprint === 'string' &&
    typeof size === 'number' &&
    typeof keepsNewlines === 'boolean' &&
    (eos === undefined || typeof eos === 'string');
  if (!isRight) throw mapDamaged(path, 'lacks fields', 'fingerprint, size, keepsNewlines');
  return { fingerprint, size, keepsNewlines, eos };
}

function mapDamaged(path: string, reason: string, expected: string | number): BinarizerError {
  return new BinarizerError('TOKEN_MAP_DAMAGED', `${path}: ${reason}; expected ${expected}`, {
    hint: 'Copy the whole folder again, or make it again with fairseq-preprocess --tokenizer.',
    details: { path, found: reason, expected },
  });
}

function eosMissing(path: string): BinarizerError {
  return new BinarizerError('OPTION_MISSING', `${path}: does not say which token ends a text`, {
    hint: 'Name it with --tokenizer-eos, put tokenizer_config.json beside it, or use --tokenizer-keep-newlines.',
    details: { path, option: 'tokenizer-eos' },
  });
}
