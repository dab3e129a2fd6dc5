import { LmRuntimeError } from './errors.js';

/** Token windows to run, and the positions whose hidden states are wanted. */
export interface LmRunBatch {
  /** Number of windows (B). */
  readonly rows: number;
  /** Length of the padded windows (T). */
  readonly width: number;
  /** Token ids, `[rows, width]` row-major, padded on the right. */
  readonly tokens: Int32Array;
  /** Token that each position is to predict, `[rows, width]`; read at `positions` only. */
  readonly targets: Int32Array;
  /** Wanted positions as row * width + column, ascending, `[n]`. */
  readonly positions: Int32Array;
}

/** What a batch is checked against. */
export interface BatchLimits {
  /** Ids are below this. */
  readonly vocabSize: number;
  /** Id of the padding symbol. */
  readonly padIndex: number;
  /** Longest window that the model has positions for. */
  readonly maxWidth: number;
  /** Whether `targets` is read. */
  readonly needsTargets: boolean;
}

/**
 * Checks a batch. ONNX Runtime gives no error for an id beyond the vocabulary: it computes something.
 *
 * @param batch - what a caller wants to run
 * @param limits - what the model takes
 * @returns whether padding stands at or before a wanted position, so that attention needs a mask
 * @throws {@link LmRuntimeError} `BATCH_SHAPE`, `BATCH_TOO_WIDE`, `TOKEN_OUT_OF_RANGE`, `TARGET_OUT_OF_RANGE`,
 * `PADDING_FIRST`, `POSITION_INVALID`
 */
export function checkBatch(batch: LmRunBatch, limits: BatchLimits): { readonly paddingInside: boolean } {
  checkShape(batch, limits);
  checkTokens(batch, limits);
  checkPositions(batch);
  if (limits.needsTargets) checkTargets(batch, limits.vocabSize);
  return { paddingInside: hasPaddingInside(batch, limits.padIndex) };
}

function checkShape(batch: LmRunBatch, { maxWidth, needsTargets }: BatchLimits): void {
  const { rows, width, tokens, targets } = batch;
  const isShape = Number.isSafeInteger(rows) && rows > 0 && Number.isSafeInteger(width) && width > 0;
  if (!isShape || tokens.length !== rows * width || (needsTargets && targets.length !== rows * width)) {
    throw new LmRuntimeError(
      'BATCH_SHAPE',
      `a batch of ${rows} rows of ${width} has ${tokens.length} tokens and ${targets.length} targets`,
      {
        hint: 'tokens and targets have rows * width entries, one row after the other.',
        details: { rows, width, tokens: tokens.length, targets: targets.length },
      },
    );
  }
  if (width > maxWidth) {
    throw new LmRuntimeError(
      'BATCH_TOO_WIDE',
      `a window of ${width} tokens is longer than the ${maxWidth} positions of this model`,
      { hint: 'Choose a smaller --tokens-per-sample, context included.', details: { width, maxWidth } },
    );
  }
}

function checkTokens({ width, tokens }: LmRunBatch, { vocabSize }: BatchLimits): void {
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token < 0 || token >= vocabSize) throw outOfRange('TOKEN', token, i, { width, vocabSize });
  }
}

function checkPositions({ rows, width, positions }: LmRunBatch): void {
  let previous = -1;
  // Numbered: an iterator makes objects for each of millions of positions.
  for (let i = 0; i < positions.length; i++) {
    const position = positions[i];
    if (position <= previous || position >= rows * width) {
      throw new LmRuntimeError(
        'POSITION_INVALID',
        `position ${position} (number ${i}) is not between ${previous + 1} and ${rows * width - 1}`,
        {
          hint: 'Positions are row * width + column, ascending, each once.',
          details: { position, index: i, rows, width },
        },
      );
    }
    previous = position;
  }
}

function checkTargets({ width, targets, positions }: LmRunBatch, vocabSize: number): void {
  for (let i = 0; i < positions.length; i++) {
    const position = positions[i];
    const target = targets[position];
    if (target < 0 || target >= vocabSize) {
      throw outOfRange('TARGET', target, position, { width, vocabSize });
    }
  }
}

function outOfRange(
  kind: 'TOKEN' | 'TARGET',
  id: number,
  index: number,
  { width, vocabSize }: { width: number; vocabSize: number },
): LmRuntimeError {
  const row = Math.floor(index / width);
  const column = index % width;
  return new LmRuntimeError(
    `${kind}_OUT_OF_RANGE`,
    `${kind.toLowerCase()} ${id} in row ${row}, column ${column} is not in the model's vocabulary of ${vocabSize}`,
    {
      hint: 'The text must be binarized with the dictionary that the model was trained with.',
      details: { id, row, column, vocabSize },
    },
  );
}

/** A text may hold the symbol `<pad>`. What comes after the last wanted position of a row does not matter. */
function hasPaddingInside({ width, tokens, positions }: LmRunBatch, padIndex: number): boolean {
  let found = false;
  let checked = 0;
  for (let p = 0; p < positions.length; p++) {
    const position = positions[p];
    const row = Math.floor(position / width);
    if (tokens[row * width] === padIndex) throw paddingFirst(row);
    for (let i = Math.max(checked, row * width); i <= position; i++) found ||= tokens[i] === padIndex;
    checked = position + 1;
  }
  return found;
}

function paddingFirst(row: number): LmRuntimeError {
  return new LmRuntimeError(
    'PADDING_FIRST',
    `row ${row} begins with padding, so that its first token sees nothing`,
    {
      hint: 'Rows are padded on the right. If the text itself holds the symbol <pad>, replace it before binarizing.',
      details: { row },
    },
  );
}
