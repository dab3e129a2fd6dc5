import { createHash } from 'node:crypto';
import { contentOf } from './content.js';
import type { Datastore } from './datastore.js';
import { DatastoreError } from './error.js';
import { normalizeIdentity, type DatastoreIdentity } from './identity.js';
import { agreedIdentity } from './texts.js';

/** What two datastores must agree in, so that a query means the same to both and so do their values. */
export const meaningFields = [
  'modelFingerprint',
  'dictionaryFingerprint',
  'moduleToCapture',
  'transformFingerprint',
] as const;

/** The fields that tell the shards of one datastore apart. */
const shardFields = ['numShards', 'shardId'] as const;

/**
 * What a merged datastore is made from. Fields in which all sources agree are kept. All shards of one datastore, in
 * order, give the identity of the whole; anything else is told apart by the content of its sources (`mergedFrom`).
 *
 * @param sources - in order
 * @param force - takes sources of different models, and shards that are not a whole
 * @throws {@link DatastoreError} `DATASTORE_MERGE_MISMATCH`, `DATASTORE_MERGE_SHARDS`
 */
export function mergeIdentities(sources: readonly Datastore[], force: boolean): DatastoreIdentity {
  if (!force) checkRequired(sources);
  const identities = sources.map(({ manifest }) => manifest?.identity);
  const known = identities.filter((identity) => identity !== undefined);
  // What one of them does not say cannot be said of all.
  const common: Fields = known.length < identities.length ? {} : { ...agreedIdentity(known) };
  const shards = describeShards(known);
  const whole = known.length === identities.length && shards === 'whole';
  if (!force && typeof shards === 'object') throw shardError(shards.reason);
  for (const field of shardFields) delete common[field];
  if (whole) return normalizeIdentity(common);
  const mergedFrom = createHash('sha256')
    .update(JSON.stringify(sources.map(contentOf)))
    .digest('hex');
  return normalizeIdentity({ ...common, mergedFrom });
}

type Fields = Record<string, string | number | boolean | undefined>;

function checkRequired(sources: readonly Datastore[]): void {
  for (const field of meaningFields) {
    const named = sources.filter(({ manifest }) => manifest !== undefined);
    for (const other of named.slice(1)) {
      const [a, b] = [named[0], other].map(({ manifest }) => manifest?.identity[field]);
      if (a === b) continue;
      throw new DatastoreError(
        'DATASTORE_MERGE_MISMATCH',
        `${field} is ${String(a ?? '(not given)')} in ${named[0].folder}, but ${String(b ?? '(not given)')} in ${other.folder}`,
        {
          hint: 'Merge datastores of the same model, module and dictionary (--force merges all the same).',
          details: { field, found: b, expected: a, folder: other.folder },
        },
      );
    }
  }
}

/** `none` when there are no shards, `whole` when all of them are there in order, or what is wrong with them. */
function describeShards(
  identities: readonly DatastoreIdentity[],
): 'none' | 'whole' | { readonly reason: string } {
  const shards = identities.map(({ numShards, shardId }) => ({ numShards, shardId }));
  if (shards.every(({ numShards }) => numShards === undefined)) return 'none';
  const total = shards[0].numShards;
  const ids = shards.map(({ shardId }) => shardId).join(', ');
  if (shards.some(({ numShards }) => numShards !== total))
    return { reason: 'they are shards of different divisions' };
  if (shards.length === total && shards.every(({ shardId }, i) => shardId === i)) {
    const differing = Object.keys(identities[0]).filter(
      (field) => field !== 'shardId' && identities.some((other) => other[field] !== identities[0][field]),
    );
    if (differing.length === 0) return 'whole';
    return { reason: `their ${differing.join(', ')} differ${differing.length === 1 ? 's' : ''}` };
  }
  return { reason: `shards ${ids} of ${String(total)} are not all of them, in order` };
}

function shardError(reason: string): DatastoreError {
  return new DatastoreError('DATASTORE_MERGE_SHARDS', `the datastores are no whole: ${reason}`, {
    hint: 'Give all shards, from 0 on, in order (--force merges what is given).',
    details: { reason },
  });
}
