import { KnnError } from './errors.js';
import { fitMixtureWeight, type PairedProbs } from './mixture-weight.js';
import type { LambdaFunction } from './mixture.js';

/**
 * Lambda as a step function of the nearest neighbour's squared distance, as it is kept in a settings file.
 *
 * A token whose nearest neighbour is at `d` has `lambdas[i]` of the first `i` with `d <= edges[i]`, and the last lambda
 * beyond all edges; one without neighbours has 0.
 */
export interface AdaptiveLambda {
  /** The only kind there is. */
  readonly kind: 'nearest-distance';
  /** `[steps - 1]` ascending squared distances. */
  readonly edges: readonly number[];
  /** `[steps]` weights of the neighbours, 0 to 1. */
  readonly lambdas: readonly number[];
}

/** Tokens to fit an adaptive lambda on. */
export interface DistancedProbs extends PairedProbs {
  /** `[tokens]` squared distance of the nearest neighbour; infinite where there is none. */
  readonly nearest: Float32Array;
}

/** How {@link fitAdaptiveLambda} fits. */
export interface AdaptiveOptions {
  /**
   * Steps at the most, with the same number of tokens each.
   *
   * @defaultValue 16, but no step has fewer than 64 tokens
   */
  readonly steps?: number | undefined;
}

/** A step with fewer tokens says little. */
const fewestTokens = 64;
/** Tokens that are imagined in each step, at the weight that is best for all tokens. */
const priorTokens = 16;

/**
 * Makes the function that an adaptive lambda describes.
 *
 * @param adaptive - from {@link fitAdaptiveLambda}, or from a file
 * @throws {@link KnnError} `LAMBDA_RANGE` when a weight is outside 0 to 1, or edges do not ascend
 */
export function lambdaFunction(adaptive: AdaptiveLambda): LambdaFunction {
  checkAdaptiveLambda(adaptive);
  const edges = Float64Array.from(adaptive.edges);
  const lambdas = Float64Array.from(adaptive.lambdas);
  return (nearest) => {
    if (nearest === Infinity) return 0;
    let step = 0;
    while (step < edges.length && nearest > edges[step]) step++;
    return lambdas[step];
  };
}

function checkAdaptiveLambda({ edges, lambdas }: AdaptiveLambda): void {
  const wrong = lambdas.find((lambda) => !(lambda >= 0 && lambda <= 1));
  const ascends = edges.every((edge, i) => (i === 0 ? edge >= 0 : edge > edges[i - 1]));
  if (wrong === undefined && ascends && lambdas.length === edges.length + 1) return;
  throw new KnnError(
    'LAMBDA_RANGE',
    wrong === undefined
      ? `an adaptive lambda of ${lambdas.length} steps has ${edges.length} edges that must ascend`
      : `lambda is ${wrong} in a step of an adaptive lambda; it must lie between 0 and 1`,
    { hint: 'Make the settings again with knn-lm tune.', details: { lambda: wrong } },
  );
}

/**
 * Fits lambda as a function of the nearest neighbour's distance: tokens are parted by the quantiles of that distance, and
 * each part gets its own weight of largest likelihood. A coefficient for each of some equally large ranges of the quality
 * of what was retrieved is the method of Drozdov et al. 2022 ("You can't pick your neighbors, or can you?"); He et al. 2021
 * ("Efficient Nearest Neighbor Language Models") predict the coefficient with a small network.
 *
 * Two things keep the steps from following chance: each is pulled a little towards the weight of all tokens, and the
 * weights never rise with the distance. Neighbouring parts that would rise are joined and fitted again, which for concave
 * likelihoods is the best non-rising function there is (pooling adjacent violators: Best, Chakravarti and Ubhaya 2000,
 * "Minimizing separable convex functions subject to simple chain constraints").
 *
 * @param tokens - p_kNN, p_LM and nearest distance of each
 * @param options - number of steps
 */
export function fitAdaptiveLambda(tokens: DistancedProbs, options: AdaptiveOptions = {}): AdaptiveLambda {
  const edges = quantileEdges(tokens.nearest, options.steps ?? 16);
  const overall = fitMixtureWeight(tokens).lambda;
  const blocks: Block[] = [];
  for (const [step, pairs] of partByEdges(tokens, edges).entries()) {
    let block = fitBlock(pairs, edges[step] ?? Infinity, 1, overall);
    while (blocks.length > 0 && blocks[blocks.length - 1].lambda <= block.lambda) {
      const nearer = blocks.pop() as Block;
      const steps = nearer.steps + block.steps;
      block = fitBlock(joined(nearer.pairs, block.pairs), block.edge, steps, overall);
    }
    blocks.push(block);
  }
  return {
    kind: 'nearest-distance',
    edges: blocks.slice(0, -1).map(({ edge }) => edge),
    lambdas: blocks.map(({ lambda }) => lambda),
  };
}

/** Some steps that have one weight, up to a distance. */
interface Block {
  readonly pairs: PairedProbs;
  readonly edge: number;
  readonly steps: number;
  readonly lambda: number;
}

function fitBlock(pairs: PairedProbs, edge: number, steps: number, overall: number): Block {
  const prior = { weight: overall, tokens: priorTokens * steps };
  return { pairs, edge, steps, lambda: fitMixtureWeight(pairs, prior).lambda };
}

/** `[parts - 1]` distances that part the tokens evenly, as far as equal distances allow. */
function quantileEdges(nearest: Float32Array, steps: number): number[] {
  const sorted = nearest.filter((distance) => distance < Infinity).sort();
  const parts = Math.max(1, Math.min(steps, Math.floor(sorted.length / fewestTokens)));
  const edges: number[] = [];
  for (let part = 1; part < parts; part++) {
    const edge = sorted[Math.floor((part * sorted.length) / parts) - 1];
    if (edge > (edges.at(-1) ?? -1) && edge < sorted[sorted.length - 1]) edges.push(edge);
  }
  return edges;
}

/** The tokens of each part, in the order of the edges; tokens without neighbours are in none. */
function partByEdges(tokens: DistancedProbs, edges: readonly number[]): PairedProbs[] {
  const { nearest, knnProbs, lmProbs } = tokens;
  const partOf = new Int32Array(nearest.length);
  const sizes = new Int32Array(edges.length + 1);
  for (let i = 0; i < nearest.length; i++) {
    if (nearest[i] === Infinity) {
      partOf[i] = -1;
      continue;
    }
    let part = 0;
    while (part < edges.length && nearest[i] > edges[part]) part++;
    partOf[i] = part;
    sizes[part]++;
  }
  const parts = Array.from(sizes, (size) => ({
    knnProbs: new Float32Array(size),
    lmProbs: new Float64Array(size),
  }));
  sizes.fill(0);
  for (let i = 0; i < nearest.length; i++) {
    if (partOf[i] < 0) continue;
    const at = sizes[partOf[i]]++;
    parts[partOf[i]].knnProbs[at] = knnProbs[i];
    parts[partOf[i]].lmProbs[at] = lmProbs[i];
  }
  return parts;
}

function joined(first: PairedProbs, second: PairedProbs): PairedProbs {
  const knnProbs = new Float32Array(first.knnProbs.length + second.knnProbs.length);
  knnProbs.set(first.knnProbs);
  knnProbs.set(second.knnProbs, first.knnProbs.length);
  const lmProbs = new Float64Array(knnProbs.length);
  lmProbs.set(first.lmProbs);
  lmProbs.set(second.lmProbs, first.lmProbs.length);
  return { knnProbs, lmProbs };
}
