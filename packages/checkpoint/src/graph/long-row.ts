import { GraphBuilder, type Value } from '../onnx/graph-builder.js';

/**
 * Number of stretches of a long row. Each attends to itself and to what comes before it, so that of T x T products
 * (n + 1) / 2n are computed; the keys and values before a stretch are copied for it. At the original size (16 layers,
 * T = 3072, 8-bit linear layers) a window took 7.7 cpu-s uncut, 5.4 with 4 stretches, 5.2 with 8, 5.0 with 16.
 */
const stretchCount = 8;

/** Rows shorter than this are not worth cutting. */
const shortestLongRow = 1024;

/** One stretch of a row. */
interface Stretch {
  /** int64 `[1]`: its first column. */
  readonly start: Value;
  /** int64 `[1]`: the column after its last one. */
  readonly end: Value;
  /** int32 `[1]`: its last column, as `GroupQueryAttention` wants it. */
  readonly last: Value;
  /** int32 scalar: number of columns up to its end. */
  readonly total: Value;
}

/** Whether a batch is a single long row, and how it is cut. */
export interface LongRow {
  /** bool scalar: one row, of at least {@link shortestLongRow} columns (the operator takes a past for one row only). */
  readonly applies: Value;
  /** The stretches, from left to right. */
  readonly stretches: readonly Stretch[];
}

/** Runs the attention operator: query, key, value, past key, past value, last columns, total; three results. */
export type Attend = (body: GraphBuilder, inputs: readonly Value[]) => readonly Value[];

/**
 * Cuts a long row.
 *
 * @param rows - int64 `[1]`: B
 * @param width - int64 `[1]`: T
 */
export function longRow(builder: GraphBuilder, rows: Value, width: Value): LongRow {
  const isLong = builder.node('GreaterOrEqual', [width, builder.ints([shortestLongRow])]);
  const isOne = builder.node('Equal', [rows, builder.ints([1])]);
  const rounded = builder.node('Add', [width, builder.ints([stretchCount - 1])]);
  const length = builder.node('Div', [rounded, builder.ints([stretchCount])]);
  const bounds = Array.from({ length: stretchCount + 1 }, (_, i) => {
    if (i === 0) return builder.ints([0]);
    return i === stretchCount ? width : builder.node('Mul', [length, builder.ints([i])]);
  });
  const stretches = bounds.slice(1).map((end, i) => {
    const total = builder.cast(end, 'int32');
    return {
      start: bounds[i],
      end,
      last: builder.node('Sub', [total, builder.ints([1], 'int32')]),
      total: builder.node('Squeeze', [total]),
    };
  });
  return { applies: builder.node('Squeeze', [builder.node('And', [isLong, isOne])]), stretches };
}

/** Chooses at run time, by the length of the rows. Only what is chosen is computed. */
export function byLength(
  builder: GraphBuilder,
  { applies }: LongRow,
  branches: Readonly<Record<'short' | 'long', (body: GraphBuilder) => Value>>,
): Value {
  const graph = (name: 'short' | 'long') => {
    const body = new GraphBuilder(builder);
    const from = branches[name](body);
    const result = body.node('Identity', [from], { name: `${name} rows` });
    return body.finish(name, [
      { name: `${result} result`, type: 'float32', shape: ['B', 'T', 'C'], from: result },
    ]);
  };
  return builder.node('If', [applies], {
    attributes: { then_branch: graph('long'), else_branch: graph('short') },
  });
}

/**
 * Attention of one long row, stretch by stretch.
 *
 * @param projections - query, key, value `[1, T, C]`
 * @returns value `[1, T, C]`
 */
export function attendInStretches(
  body: GraphBuilder,
  projections: readonly Value[],
  { stretches }: LongRow,
  attend: Attend,
): Value {
  const axis = body.ints([1]);
  let past: readonly Value[] = ['', ''];
  const parts = stretches.map(({ start, end, last, total }) => {
    const cut = projections.map((value) => body.node('Slice', [value, start, end, axis]));
    const [output, ...present] = attend(body, [...cut, ...past, last, total]);
    past = present;
    return output;
  });
  return body.node('Concat', parts, { attributes: { axis: 1 } });
}
