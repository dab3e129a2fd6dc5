import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describeFileError } from '@knn-lm/common';
import { BinarizerError } from './errors.js';

/** Names that Hugging Face's tools give to a tokenizer's files. */
export const TOKENIZER_NAME = 'tokenizer.json';
export const TOKENIZER_CONFIG_NAME = 'tokenizer_config.json';

/** Read whole; the largest real ones have some 30 MB. */
const MAX_FILE_BYTES = 2 ** 28;

/** Ids may have holes, but a list of all ids must not be much longer than there are tokens. */
const MOST_IDS_FOR_EACH_TOKEN = 8;
const MOST_IDS_BESIDE = 65_536;

type JsonObject = Readonly<Record<string, unknown>>;

/** A checked `tokenizer.json`, and what lies beside it. */
export interface TokenizerFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly json: JsonObject;
  /** `tokenizer_config.json`; empty if there is none. */
  readonly config: JsonObject;
  readonly configBytes: Uint8Array | undefined;
  /** SHA-256 of `tokenizer.json`, in hexadecimal. */
  readonly fingerprint: string;
  /** Tokens by their ids; `undefined` where an id has none. */
  readonly tokens: readonly (string | undefined)[];
  /** Id of the token for what the vocabulary lacks. */
  readonly unk: number | undefined;
}

/**
 * Reads a `tokenizer.json` of Hugging Face's tokenizers, and the `tokenizer_config.json` beside it if there is one.
 *
 * @param path - the file, or the folder that holds it
 * @throws {@link BinarizerError} `TOKENIZER_DAMAGED`, `TOKENIZER_UNSUPPORTED`, `TOKENIZER_TOO_LARGE`
 * @throws KnnLmError `FILE_…`
 */
export async function readTokenizerFile(path: string): Promise<TokenizerFile> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() === true;
  const file = isFolder ? join(path, TOKENIZER_NAME) : path;
  const bytes = await readChecked(file);
  const json = withUnicodeWords(parseObject(bytes, file));
  const configPath = join(dirname(file), TOKENIZER_CONFIG_NAME);
  const configBytes = await readChecked(configPath).catch((error: unknown) => {
    if ((error as { code?: string }).code === 'FILE_ENOENT') return undefined;
    throw error;
  });
  const config = configBytes === undefined ? {} : parseObject(configBytes, configPath);
  const ids = tokenIds(json, file);
  const tokens: (string | undefined)[] = Array.from({ length: idCount(ids, file) });
  for (const [token, id] of ids) tokens[id] = token;
  const fingerprint = createHash('sha256').update(bytes).digest('hex');
  return { path: file, bytes, json, config, configBytes, fingerprint, tokens, unk: unknownId(json, ids) };
}

/**
 * Id of a token that has a part to play.
 *
 * @param file - the tokenizer
 * @param role - as `tokenizer_config.json` names it
 * @param token - used instead of what is written there
 * @returns `undefined` where there is none
 * @throws {@link BinarizerError} `TOKENIZER_TOKEN_UNKNOWN` when the vocabulary lacks it
 */
export function specialId(
  file: TokenizerFile,
  role: 'bos_token' | 'eos_token' | 'pad_token',
  token?: string,
): number | undefined {
  const written = file.config[role];
  const content = token ?? (isObject(written) ? written['content'] : written);
  if (typeof content !== 'string') return undefined;
  const id = file.tokens.indexOf(content);
  if (id >= 0) return id;
  throw new BinarizerError('TOKENIZER_TOKEN_UNKNOWN', `${file.path}: has no token '${content}' (${role})`, {
    hint: 'Name a token of the vocabulary with --tokenizer-eos, or correct tokenizer_config.json.',
    details: { path: file.path, found: content },
  });
}

async function readChecked(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size <= MAX_FILE_BYTES) return await readFile(path);
    throw new BinarizerError('TOKENIZER_TOO_LARGE', `${path}: has ${size} bytes; at most ${MAX_FILE_BYTES}`, {
      hint: 'Is this a tokenizer.json?',
      details: { path, found: size, expected: MAX_FILE_BYTES },
    });
  } catch (cause) {
    throw describeFileError(cause, path, 'read the tokenizer');
  }
}

function parseObject(bytes: Uint8Array, path: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw damagedTokenizer(path, `is no JSON: ${(cause as Error).message}`, cause);
  }
  if (isObject(value)) return value;
  throw damagedTokenizer(path, 'holds no JSON object');
}

/** Ids of all tokens: those of the model, and those that were added. */
function tokenIds(json: JsonObject, path: string): Map<string, number> {
  const { model, added_tokens: added = [] } = json;
  if (!isObject(model)) throw damagedTokenizer(path, 'has no field "model"');
  checkModel(model, path);
  checkSteps(json['pre_tokenizer'], json['normalizer'], path);
  const { vocab } = model;
  const ids = new Map<string, number>();
  const add = (token: unknown, id: unknown) => {
    if (typeof token !== 'string') throw damagedTokenizer(path, `token ${String(id)} is no text`);
    if (!(Number.isSafeInteger(id) && (id as number) >= 0)) {
      throw damagedTokenizer(path, `token '${token}' has the id ${String(id)}; expected 0 or more`);
    }
    ids.set(token, id as number);
  };
  if (Array.isArray(vocab)) {
    // Unigram: pairs of token and score.
    vocab.forEach((entry: unknown, id) => add(Array.isArray(entry) ? entry[0] : entry, id));
  } else if (isObject(vocab)) {
    for (const [token, id] of Object.entries(vocab)) add(token, id);
  } else {
    throw damagedTokenizer(path, 'has no field "model.vocab"');
  }
  if (!Array.isArray(added)) throw damagedTokenizer(path, 'field "added_tokens" is no list');
  for (const token of added as unknown[]) {
    if (!isObject(token)) throw damagedTokenizer(path, 'field "added_tokens" holds what is no token');
    add(token['content'], token['id']);
  }
  return ids;
}

/** Kinds that give the Python library's ids; of others the library here makes something else. */
const modelTypes = ['BPE', 'WordPiece', 'Unigram'];

function checkModel({ type }: JsonObject, path: string): void {
  if (type === undefined || (typeof type === 'string' && modelTypes.includes(type))) return;
  throw unsupported(path, 'model type', type, modelTypes);
}

/** What becomes of a delimiter, by step: the library here does the same whatever else is asked for. */
const behaviors: Readonly<Record<string, readonly string[]>> = {
  Split: ['Isolated', 'Removed'],
  Punctuation: ['Isolated'],
};

function checkSteps(step: unknown, normalizer: unknown, path: string): void {
  if (!isObject(step)) return;
  const { type, behavior, pattern, pretokenizers } = step;
  if (Array.isArray(pretokenizers)) for (const inner of pretokenizers) checkSteps(inner, normalizer, path);
  const allowed = behaviors[String(type)] as readonly string[] | undefined;
  if (allowed === undefined || typeof behavior !== 'string' || allowed.includes(behavior)) return;
  // Gemma's splits at spaces, of which its normalizer leaves none.
  if (isObject(pattern) && replaces(normalizer, pattern['String'])) return;
  throw unsupported(path, `behavior of ${String(type)}`, behavior, allowed);
}

/** Whether a normalizer replaces every occurrence of a text by something without it. */
function replaces(normalizer: unknown, text: unknown): boolean {
  if (!isObject(normalizer) || typeof text !== 'string') return false;
  const { type, pattern, content, normalizers } = normalizer;
  if (Array.isArray(normalizers)) return replaces(normalizers.at(-1), text);
  if (type !== 'Replace' || !isObject(pattern)) return false;
  return pattern['String'] === text && typeof content === 'string' && !content.includes(text);
}

function unsupported(path: string, what: string, value: unknown, usable: readonly string[]): BinarizerError {
  const found = JSON.stringify(value);
  return new BinarizerError('TOKENIZER_UNSUPPORTED', `${path}: ${what} ${found}`, {
    hint: `These can be used: ${usable.join(', ')}.`,
    details: { path, found, expected: usable.join(', ') },
  });
}

/** What `Whitespace` is in the Python library, where words have letters of all scripts. (Here it knows those of ASCII.) */
const unicodeWords = {
  type: 'Split',
  pattern: { Regex: '\\w+|[^\\w\\s]+' },
  behavior: 'Removed',
  invert: true,
} as const;

function withUnicodeWords(json: JsonObject): JsonObject {
  const replaced = (step: unknown): unknown => {
    if (!isObject(step)) return step;
    if (step['type'] === 'Whitespace') return unicodeWords;
    const steps = step['pretokenizers'];
    return Array.isArray(steps) ? { ...step, pretokenizers: steps.map(replaced) } : step;
  };
  return 'pre_tokenizer' in json ? { ...json, pre_tokenizer: replaced(json['pre_tokenizer']) } : json;
}

function idCount(ids: ReadonlyMap<string, number>, path: string): number {
  let count = 0;
  for (const id of ids.values()) count = Math.max(count, id + 1);
  if (count > 0 && count <= ids.size * MOST_IDS_FOR_EACH_TOKEN + MOST_IDS_BESIDE) return count;
  throw damagedTokenizer(path, `has ${ids.size} tokens, and ids up to ${count - 1}`);
}

function unknownId(json: JsonObject, ids: ReadonlyMap<string, number>): number | undefined {
  const { unk_id: id, unk_token: token } = json['model'] as JsonObject;
  if (typeof id === 'number') return id;
  return typeof token === 'string' ? ids.get(token) : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The error for a file that is no tokenizer, or not one that is known here. */
export function damagedTokenizer(path: string, reason: string, cause?: unknown): BinarizerError {
  return new BinarizerError('TOKENIZER_DAMAGED', `${path}: ${reason}`, {
    hint: 'Copy tokenizer.json from the model again, or save it with the Python library tokenizers.',
    details: { path, found: reason, expected: 'a tokenizer.json of Hugging Face tokenizers' },
    cause,
  });
}
