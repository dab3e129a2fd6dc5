import type { DocumentMap } from './document-map.js';
import { LinearHistogram } from './linear-histogram.js';
import { count } from './numbers.js';
import type { DocumentStatistics, TokenGroup } from './report-data.js';
import type { WideningGroups } from './widening-groups.js';

/** So many documents are shown one by one. */
const mostShown = 24;
/** Otherwise so many at either end. */
const shownAtEnds = 8;

/**
 * What the neighbours did for each document.
 *
 * @param sums - tokens by number of the document
 * @param documents - titles
 */
export function describeDocuments(sums: WideningGroups, documents: DocumentMap): DocumentStatistics {
  const groupSize = sums.width;
  const groups = sums.groups((first, last) =>
    first === last
      ? documents.title(first) || `document ${count(first + 1)}`
      : `documents ${count(first + 1)} to ${count(last + 1)}`,
  );
  const complete = groups.length <= mostShown;
  return {
    rule: documents.rule,
    count: documents.starts.length,
    groupSize,
    shown: complete ? groups : bothEnds(groups),
    complete,
    gains: gainHistogram(groups),
  };
}

/** The highest and the lowest gains per token, of documents that are not too short to tell. */
function bothEnds(groups: readonly TokenGroup[]): TokenGroup[] {
  const mean = groups.reduce((sum, { tokens }) => sum + tokens, 0) / groups.length;
  const long = groups.filter(({ tokens }) => tokens >= mean / 4).sort((a, b) => gainOf(b) - gainOf(a));
  return long.length <= mostShown ? long : [...long.slice(0, shownAtEnds), ...long.slice(-shownAtEnds)];
}

function gainHistogram(groups: readonly TokenGroup[]) {
  const histogram = new LinearHistogram(-4, 8, 120);
  for (const group of groups) histogram.add(gainOf(group));
  return histogram.bins();
}

/** Bits that a token of the group saves on average. */
export function gainOf({ lmBits, mixedBits, tokens }: TokenGroup): number {
  return tokens === 0 ? 0 : (lmBits - mixedBits) / tokens;
}
