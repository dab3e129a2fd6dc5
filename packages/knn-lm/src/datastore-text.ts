import {
  breakModes,
  planLmBatches,
  type BreakMode,
  type Dictionary,
  type SamplePlace,
  type TokenDataset,
} from '@knn-lm/binarizer';
import { textsOf, type Datastore, type PlacedText } from '@knn-lm/datastore';
import { KnnError } from './errors.js';
import { lastAtMost } from './text-places.js';

/** Fields of a datastore's identity that do not change which token a row is. */
const harmlessFields = new Set([
  'dictionaryFingerprint',
  'modelFingerprint',
  'textFingerprint',
  'moduleToCapture',
  'breakMode',
  'tokensPerSample',
  'contextWindow',
  'split',
  'transformFingerprint',
  'reducedFrom',
]);

/** What rows lose their places by, in the identity of a datastore and in words. */
const losses: readonly (readonly [field: string, words: string])[] = [
  ['dedupedFrom', 'it was deduplicated'],
  ['prunedFrom', 'it was pruned'],
  ['mergedFrom', 'it was merged from several'],
  ['numShards', 'it is one shard of several'],
];

/** Rows whose values are compared with the text when it is opened, in so many pieces of 256. */
const checkedPieces = 32;
const checkedPieceRows = 256;

/** How {@link DatastoreText} is opened. */
export interface DatastoreTextOptions {
  /** Longest sample that the model takes: longer ones are not in the datastore. */
  readonly maxPositions?: number | undefined;
  /**
   * Which of the texts that were appended to the datastore.
   *
   * @defaultValue the first, which is all of a datastore that nothing was appended to
   */
  readonly text?: PlacedText | undefined;
}

/**
 * A text that a datastore was made from: which token of it each row is. Rows follow the text's blocks in the order in
 * which they were evaluated, without those that lacked context; the manifest says how the text was cut.
 *
 * A sample of the rows is compared with the text when it is opened. Memory: 16 bytes a block of the text.
 */
export class DatastoreText {
  /** The text. */
  readonly dataset: TokenDataset;
  /** Its rows of the datastore. */
  readonly #text: PlacedText;
  /** `[blocks + 1]` first row of each block, ascending, and the number of rows. */
  readonly #firstRows: Float64Array;
  /** `[blocks]` first token of each block in the text. */
  readonly #starts: Float64Array;
  /** Tokens of the text that are literal pads, which have no row; ascending. */
  readonly #pads: Float64Array;

  private constructor(dataset: TokenDataset, text: PlacedText, rows: BlockRows, pads: Float64Array) {
    this.dataset = dataset;
    this.#text = text;
    this.#firstRows = rows.firstRows;
    this.#starts = rows.starts;
    this.#pads = pads;
  }

  /**
   * Finds out which token each row is, from the manifest and the text.
   *
   * @param datastore - an open datastore
   * @param dataset - the text it was made from
   * @param dictionary - of the text
   * @param options - the model's limit
   * @throws {@link KnnError} `DATASTORE_TEXT` when the datastore does not tell (made by the Python tools, merged, pruned,
   * deduplicated, a shard), or the text is another one; the message is one line that says why
   */
  static open(
    datastore: Datastore,
    dataset: TokenDataset,
    dictionary: Dictionary,
    options: DatastoreTextOptions = {},
  ): DatastoreText {
    const placed = options.text ?? firstText(datastore);
    const rules = rulesOf(datastore, placed, dataset);
    const pads = padsOf(dataset, dictionary.pad);
    // The manifest does not say whether samples began with <s>; the values do.
    for (const addBos of [false, true]) {
      const { breakMode, tokensPerSample, contextWindow } = rules;
      const plan = planLmBatches(dataset, dictionary, {
        breakMode,
        tokensPerSample,
        contextWindow,
        maxPositions: options.maxPositions,
        maxTokens: -1,
        addBos,
      });
      const rows = blockRows(plan.samples(), { ...rules, addBos, blockSize: plan.blockSize }, pads);
      const text = new DatastoreText(dataset, placed, rows, pads);
      if (text.#agreesWith(datastore)) return text;
    }
    throw unknown(datastore, 'its values are not those of the text when it is cut as the manifest says');
  }

  /**
   * Which token of the text a row is.
   *
   * @param row - of the datastore
   * @returns the token's number in the whole text; `undefined` for a row that is not of this text, or -1
   */
  position(row: number): number | undefined {
    const { firstRow, rows } = this.#text;
    if (!(row >= firstRow && row < firstRow + rows)) return undefined;
    const block = lastAtMost(this.#firstRows, row - firstRow);
    let position = this.#starts[block] + (row - firstRow - this.#firstRows[block]);
    for (let pad = lastAtMost(this.#pads, this.#starts[block] - 1) + 1; pad < this.#pads.length; pad++) {
      if (this.#pads[pad] > position) break;
      position++;
    }
    return position;
  }

  #agreesWith(datastore: Datastore): boolean {
    const { firstRow, rows } = this.#text;
    if (rows > this.#firstRows[this.#starts.length]) return false;
    for (let piece = 0; piece < checkedPieces; piece++) {
      const within = Math.floor((Math.max(0, rows - checkedPieceRows) * piece) / (checkedPieces - 1));
      const start = firstRow + within;
      const values = datastore.readValues(start, Math.min(checkedPieceRows, rows - within));
      for (let i = 0; i < values.length; i++) {
        const position = this.position(start + i) as number;
        if (this.dataset.readTokens(position, position + 1)[0] !== values[i]) return false;
      }
    }
    return true;
  }
}

interface Rules {
  readonly breakMode: BreakMode;
  readonly tokensPerSample: number;
  readonly contextWindow: number;
}

function firstText({ manifest, rows }: Datastore): PlacedText {
  return textsOf({ rows, identity: {}, ...manifest })[0];
}

function rulesOf(datastore: Datastore, { identity }: PlacedText, dataset: TokenDataset): Rules {
  if (datastore.manifest === undefined) throw unknown(datastore, 'it has no manifest');
  for (const [field, words] of losses) if (identity[field] !== undefined) throw unknown(datastore, words);
  const other = Object.keys(identity).find((field) => !harmlessFields.has(field));
  if (other !== undefined)
    throw unknown(datastore, `its manifest has ${other}, whose meaning is not known here`);
  const { breakMode, tokensPerSample, contextWindow, textFingerprint } = identity;
  if (textFingerprint === undefined || tokensPerSample === undefined || contextWindow === undefined)
    throw unknown(datastore, 'its manifest does not say which text it was made from, and how');
  if (textFingerprint !== dataset.fingerprint)
    throw unknown(datastore, `it was made from another text than ${dataset.path}`);
  if (!breakModes.includes(breakMode as BreakMode))
    throw unknown(datastore, `its manifest has the break mode ${String(breakMode)}`);
  return { breakMode: breakMode as BreakMode, tokensPerSample, contextWindow };
}

function unknown(datastore: Datastore, reason: string): KnnError {
  return new KnnError(
    'DATASTORE_TEXT',
    `the neighbours' own contexts cannot be shown: ${datastore.folder} does not tell which token a row is: ${reason}`,
    {
      hint: 'Rows, distances and values are shown without it.',
      details: { folder: datastore.folder, reason },
    },
  );
}

interface BlockRows {
  readonly firstRows: Float64Array;
  readonly starts: Float64Array;
}

/** The blocks in the order of their rows, as `generateDatastore` writes them. */
function blockRows(
  samples: Iterable<SamplePlace>,
  rules: Rules & { readonly addBos: boolean; readonly blockSize: number },
  pads: Float64Array,
): BlockRows {
  const { breakMode, tokensPerSample, contextWindow, blockSize } = rules;
  const starts: number[] = [];
  const sizes: number[] = [];
  const deferred: SamplePlace[] = [];
  const add = ({ start, size }: SamplePlace) => {
    starts.push(start);
    sizes.push(size - (lastAtMost(pads, start + size - 1) - lastAtMost(pads, start - 1)));
  };
  for (const sample of samples) {
    const rowTokens = sample.size + (rules.addBos ? 1 : 0);
    if (sample.contextTokens < Math.min(contextWindow, tokensPerSample - rowTokens)) continue;
    if (breakMode === 'none' && rowTokens < blockSize) deferred.push(sample);
    else add(sample);
  }
  deferred.forEach(add);
  const firstRows = new Float64Array(sizes.length + 1);
  for (let i = 0; i < sizes.length; i++) firstRows[i + 1] = firstRows[i] + sizes[i];
  return { firstRows, starts: Float64Array.from(starts) };
}

/** Tokens looked through at a time. */
const pieceTokens = 2 ** 20;

function padsOf(dataset: TokenDataset, pad: number): Float64Array {
  const pads: number[] = [];
  for (let start = 0; start < dataset.tokenCount; start += pieceTokens) {
    const tokens = dataset.readTokens(start, Math.min(start + pieceTokens, dataset.tokenCount));
    for (let i = tokens.indexOf(pad); i >= 0; i = tokens.indexOf(pad, i + 1)) pads.push(start + i);
  }
  return Float64Array.from(pads);
}
