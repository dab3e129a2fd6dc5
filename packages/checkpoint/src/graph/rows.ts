import type { GraphBuilder, Value } from '../onnx/graph-builder.js';

/** Rows of hidden states: of every position of the batch (`[B * T, width]`), or of the wanted ones only (`[n, width]`). */
export interface Rows {
  /** The value in the graph. */
  readonly value: Value;
  /** Only the wanted positions, in the order in which they are asked for. */
  readonly selected: boolean;
}

/** Keeps the wanted positions. Everything after the last attention works on rows, so that the others cost nothing there. */
export function selectRows(builder: GraphBuilder, rows: Rows, wanted: Value): Rows {
  if (rows.selected) return rows;
  return { value: builder.node('Gather', [rows.value, wanted], { attributes: { axis: 0 } }), selected: true };
}
