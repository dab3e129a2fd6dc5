import { join } from 'node:path';
import { openModelFolder, resolveModelFolder } from '@knn-lm/checkpoint';
import { Dictionary, openDataBin } from '@knn-lm/binarizer';
import { KnnLmError, type TaskOptions } from '@knn-lm/common';
import {
  Datastore,
  KeyTransform,
  readManifest,
  transformName,
  textsOf,
  verifyDatastore,
  type DatastoreProblem,
  type DatastoreReport,
  type KeysDtype,
  type Manifest,
} from '@knn-lm/datastore';
import {
  checkIndexDatastore,
  findChangedFiles,
  findIndex,
  hasIndex,
  INDEX_FILE,
  KnnIndex,
} from '@knn-lm/index';
import type { CommandLine } from '../options/parse.js';
import { datastoreShapeOptions } from '../options/datastore-tools.js';
import { int, str } from '../options/option.js';
import type { Command } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { CheckTable } from './check-table.js';
import { optional, type Values } from './lm-task.js';

const commandLine: CommandLine = {
  program: 'knn-lm verify',
  description:
    'Reads a whole datastore and checks it, and whether it belongs to a dictionary, text, model and index.',
  positionals: { datastore: 'folder of the datastore' },
  options: [
    ...datastoreShapeOptions('without a manifest'),
    str('--data', null, 'folder made by fairseq-preprocess: check values, dictionary and text against it'),
    str('--path', null, 'checkpoint or model folder: check that the keys are its'),
    str('--model-cache', null, 'folder for converted checkpoints (default: beside the checkpoint)'),
    int('--threads', null, 'threads (default: one a core, 8 at most)'),
  ],
};

/** `knn-lm verify`: the exit status is 1 when something is wrong. */
export const verifyCommand: Command = {
  commandLine,
  async run({ values }, context) {
    const { signal, print } = context;
    const { log, progress } = openTerminal(context, values);
    const logger = log.named('knn_lm.verify');
    const folder = values['datastore'] as string;
    const table = new CheckTable();
    try {
      const manifest = await readManifest(folder);
      const dictionary = await loadDictionary(values);
      const report = await verifyDatastore(folder, {
        ...givenShape(values, manifest),
        vocabularySize: dictionary?.size,
        threads: optional(values['threads'] as number | null),
        signal,
        onProgress: progress.report,
        logger,
      });
      addArrays(table, report, manifest, dictionary);
      await addText(table, values, manifest, dictionary);
      await addModel(table, values, manifest, { signal, onProgress: progress.report, logger });
      await addTransform(table, report, manifest);
      await addIndex(table, report, signal);
      addWeights(table, report);
      progress.close();
      print(table.toString());
      for (const { message } of report.problems) print(`${message}\n`);
      const hidden = report.problemCount - report.problems.length;
      if (hidden > 0) print(`and ${hidden.toLocaleString('en-US')} problems more\n`);
      print(`${folder}: ${table.failed ? 'something is wrong' : 'nothing is wrong'}\n`);
      const problems = report.problems.map(({ kind, path, row = null, message }) => ({
        kind,
        path,
        row,
        message,
      }));
      return {
        ok: !table.failed,
        datastore: folder,
        rows: report.rows,
        dimension: report.dimension,
        dtype: report.dtype,
        checks: table.checks,
        problem_count: report.problemCount,
        problems,
      };
    } finally {
      progress.close();
    }
  },
};

function givenShape(values: Values, manifest: Manifest | undefined) {
  const dtype = values['keys_dtype'] as KeysDtype | null;
  return {
    rows: optional(values['datastore_size'] as number | null),
    dimension: optional(values['keys_dimension'] as number | null),
    dtype: dtype ?? (manifest === undefined ? 'fp16' : undefined),
  };
}

async function loadDictionary(values: Values): Promise<Dictionary | undefined> {
  const data = values['data'] as string | null;
  return data === null ? undefined : Dictionary.load(join(data.split(':')[0], 'dict.txt'));
}

/** What the arrays themselves tell. */
function addArrays(
  table: CheckTable,
  report: DatastoreReport,
  manifest: Manifest | undefined,
  dictionary: Dictionary | undefined,
): void {
  const { rows, checkedRows, dimension, dtype, finished, zeroKeys, zeroKeysAtEnd } = report;
  const count = (number: number) => number.toLocaleString('en-US');
  const found = (...kinds: DatastoreProblem['kind'][]) =>
    kinds.reduce((sum, kind) => sum + (report.problemCounts[kind] ?? 0), 0);
  const say = (problems: number, fine: string) =>
    [problems === 0, problems === 0 ? fine : `${count(problems)} wrong, see below`] as const;
  if (manifest === undefined) table.skip('manifest', 'there is none (made by another program)');
  else
    table.add(
      'manifest',
      finished === true && found('unfinished') === 0,
      `${describeState(manifest)}, ${count(rows)} rows`,
    );
  const { parts } = manifest ?? {};
  if (parts !== undefined) table.add('parts', ...say(found('part'), `${parts.length} folders`));
  table.add('sizes', ...say(found('size', 'missing'), `${count(checkedRows)} keys of ${dimension} ${dtype}`));
  if (manifest === undefined) table.skip('checksums', 'only a manifest has them');
  else
    table.add(
      'checksums',
      ...say(
        found('checksum'),
        parts === undefined ? `${manifest.segments.length} segments, SHA-256` : 'those of the parts, SHA-256',
      ),
    );
  table.add(
    'keys',
    ...say(found('key-not-finite'), zeroKeys === 0 ? 'finite' : `finite, ${count(zeroKeys)} all zero`),
  );
  if (zeroKeysAtEnd > 1)
    table.warn(
      'end',
      `the last ${count(zeroKeysAtEnd)} keys are all zero: was the program that made them stopped?`,
    );
  const range = `${report.minValue ?? '-'} to ${report.maxValue ?? '-'}`;
  const limit = dictionary === undefined ? 'token ids' : `of ${count(dictionary.size)} symbols`;
  table.add('values', ...say(found('value-out-of-range'), `${range}, ${limit}`));
}

function describeState({ finished, appending, texts = [] }: Manifest): string {
  const state = finished ? 'finished' : 'unfinished';
  const of = texts.length > 1 ? `, of ${texts.length} texts` : '';
  return appending === undefined ? `${state}${of}` : `${state}${of}; an append is unfinished`;
}

async function addText(
  table: CheckTable,
  values: Values,
  manifest: Manifest | undefined,
  dictionary: Dictionary | undefined,
): Promise<void> {
  if (dictionary === undefined) return table.skip('dictionary, text', '--data DATA_BIN checks them');
  table.compare('dictionary', manifest?.identity.dictionaryFingerprint, dictionary.fingerprint);
  for (const { identity, firstRow, rows } of manifest === undefined ? [] : textsOf(manifest)) {
    const { split, textFingerprint } = identity;
    if (split === undefined || textFingerprint === undefined) {
      table.skip('text', 'the manifest names none');
      continue;
    }
    await attempt(table, `text (${split})`, async () => {
      const { dataset } = await openDataBin(values['data'] as string, split);
      const last = (firstRow + rows - 1).toLocaleString('en-US');
      const about = firstRow === 0 ? undefined : `rows ${firstRow.toLocaleString('en-US')} to ${last}`;
      table.compare(`text (${split})`, textFingerprint, dataset.fingerprint, about);
      dataset.close();
    });
  }
}

async function addModel(
  table: CheckTable,
  values: Values,
  manifest: Manifest | undefined,
  task: TaskOptions,
): Promise<void> {
  const path = values['path'] as string | null;
  if (path === null) return table.skip('model', '--path MODEL checks it');
  const modelCache = optional(values['model_cache'] as string | null);
  const model = openModelFolder(await resolveModelFolder(path, { ...task, modelCache }));
  table.compare('model', manifest?.identity.modelFingerprint, model.fingerprint);
}

/** The transform of reduced keys: only there when the manifest names one. */
async function addTransform(
  table: CheckTable,
  { folder, dimension }: DatastoreReport,
  manifest: Manifest | undefined,
): Promise<void> {
  const recorded = manifest?.identity['transformFingerprint'];
  if (recorded === undefined) return;
  await attempt(table, 'transform', async () => {
    const transform = await KeyTransform.load(folder);
    if (transform === undefined) return table.add('transform', false, `${transformName} is missing`);
    const { inputDimension, outputDimension, fingerprint } = transform;
    if (outputDimension !== dimension)
      return table.add(
        'transform',
        false,
        `it gives ${outputDimension} dimensions, the keys have ${dimension}`,
      );
    table.compare(
      'transform',
      String(recorded),
      fingerprint,
      `from ${inputDimension} to ${outputDimension} dimensions`,
    );
  });
}

async function addIndex(table: CheckTable, report: DatastoreReport, signal: AbortSignal): Promise<void> {
  const { folder, rows, dimension, dtype } = report;
  if (!hasIndex(folder)) return table.skip('index', `there is no ${INDEX_FILE}`);
  await attempt(table, 'index', async () => {
    const index = await KnnIndex.open(join(folder, INDEX_FILE), { map: true });
    const { size, dimension: found, description, record, path } = index;
    index.close();
    const about = `${size.toLocaleString('en-US')} entries of ${found} dimensions`;
    if (size !== rows || found !== dimension) {
      return table.add('index', false, `${about}; the datastore has ${rows} of ${dimension}`);
    }
    const changed = await findChangedFiles(findIndex(folder), { signal });
    if (changed.length > 0) return table.add('index', false, `${changed.join(', ')}: not what was built`);
    const datastore = await Datastore.open(folder, { rows, dimension, dtype, needKeys: true });
    try {
      checkIndexDatastore(path, record, datastore);
    } finally {
      datastore.close();
    }
    table.add('index', true, description);
  });
}

function addWeights(table: CheckTable, { weights, problemCounts }: DatastoreReport): void {
  const wrong = problemCounts.weights ?? 0;
  if (weights === undefined && wrong === 0) return;
  if (weights === undefined || wrong > 0) return table.add('weights', false, `${wrong} wrong, see below`);
  const { min, max, sum, checksummed } = weights;
  const about = `${min} to ${max}, ${sum.toLocaleString('en-US')} in all`;
  table.add('weights', true, checksummed ? `${about}, SHA-256` : about);
}

/** A part that cannot be opened is a finding, not the end. */
async function attempt(table: CheckTable, what: string, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    if (!(error instanceof KnnLmError)) throw error;
    table.add(what, false, error.message);
  }
}
