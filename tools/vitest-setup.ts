import fc from 'fast-check';

// Property tests try the same cases on every machine, so that a failure can be seen again; KNN_LM_SEED tries others.
const seed = Number(process.env['KNN_LM_SEED'] ?? 20200220);
fc.configureGlobal({ seed });
