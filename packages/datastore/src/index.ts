/**
 * The kNN-LM datastore on disk: `keys.npy`, `values.npy` and their manifest; append, resume, verify, read, and the
 * distances of queries to rows of it.
 *
 * @packageDocumentation
 */
export { DatastoreError } from './error.js';
export { type KeysDtype, type DatastoreShape } from './layout.js';
export { type DatastoreIdentity } from './identity.js';
export { readManifest, type Manifest, type Segment } from './manifest.js';
export { DatastoreWriter, type DatastoreWriterOptions } from './writer.js';
export { Datastore, type SquaredDistanceOptions } from './datastore.js';
export { type DatastoreOpenOptions } from './open.js';
export { verifyDatastore, type VerifyOptions, type DatastoreReport } from './verify.js';
export { maxProblems, type DatastoreProblem } from './problems.js';
export { ValueWeights } from './value-weights.js';
