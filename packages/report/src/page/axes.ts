import * as Plot from '@observablehq/plot';

/** An axis below a chart, with its name in the middle. */
export function below(label: string): Plot.ScaleOptions {
  return { label, labelAnchor: 'center', labelArrow: 'none' };
}

/** An axis at the left of a chart, with its name above it. */
export function beside(label: string): Plot.ScaleOptions {
  return { label, labelArrow: 'none', ticks: 5 };
}

/** Shares of tokens, in percent. */
export const shareOfTokens: Plot.ScaleOptions = {
  ...beside('Share of tokens'),
  percent: true,
  tickFormat: (part: number) => `${part} %`,
};

/** Lines across a chart, a line for each tick of {@link beside}. */
export function linesAcross(): Plot.RenderableMark {
  return Plot.gridY({ stroke: 'var(--line)', strokeOpacity: 1, ticks: 5 });
}

/** The line of zero. */
export function zeroLine(): Plot.RenderableMark {
  return Plot.ruleY([0], { stroke: 'var(--text)' });
}
