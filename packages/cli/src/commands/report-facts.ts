import { statSync } from 'node:fs';
import { availableParallelism, cpus, release, type as systemType } from 'node:os';
import { basename } from 'node:path';
import type { FactTable, RunFacts } from '@knn-lm/report';
import { version } from '../terminal/version.js';
import type { NeighborSetup } from './eval.js';
import type { LmTask, Values } from './lm-task.js';
import { describeLambda } from './neighbors.js';
import { fingerprintsOf } from './settings-file.js';

/** What {@link runFacts} tells of. */
export interface FinishedRun {
  /** Option values. */
  readonly values: Values;
  /** Model and text. */
  readonly task: LmTask;
  /** Datastore, index and settings. */
  readonly neighbors: NeighborSetup;
  /** How long the evaluation took. */
  readonly seconds: number;
}

type Row = readonly [name: string, value: string];

/** All that is needed to run an evaluation again, and to see what differs when its result does. */
export async function runFacts(run: FinishedRun): Promise<RunFacts> {
  const { values, task } = run;
  return {
    text: `${String(values['data'])}, split ${task.split}`,
    date: new Date().toISOString(),
    command: commandLine(),
    tables: [
      { title: 'Settings', rows: settings(run) },
      { title: 'Versions', rows: versions(run) },
      await fingerprints(run),
      { title: 'Times and sizes', rows: timesAndSizes(run) },
    ],
  };
}

/** The command as a shell takes it. */
function commandLine(): string {
  const [, script = '', ...args] = process.argv;
  const quoted = args.map((text) =>
    /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`,
  );
  return [basename(script, '.js'), ...quoted].join(' ');
}

function settings({ values, task, neighbors }: FinishedRun): Row[] {
  const { retriever, mixing, lambdaResult, index } = neighbors;
  const recomputed = values['recompute_distance'] === true;
  return [
    ['Neighbours (k)', count(mixing.k ?? retriever.k)],
    ['Lambda', describeLambda(lambdaResult)],
    ['Temperature', String(mixing.temperature)],
    ['Distances', recomputed ? 'recomputed from the keys' : "the index's approximate ones"],
    ['Lists visited (nprobe)', index.nprobe === undefined ? 'none: exact search' : count(index.nprobe)],
    ['Weights of entries', values['load_value_weights'] === true ? 'weight.npy' : 'none'],
    ['Blocks', `${task.breakMode}, ${count(task.tokensPerSample)} tokens with their context`],
    ['Context of a block', `${count(task.contextWindow)} tokens`],
    ['Shard', `${Number(values['shard_id']) + 1} of ${String(values['num_shards'])}`],
    ['Settings file', (values['settings'] as string | null | undefined) ?? 'none'],
  ];
}

function versions({ task, neighbors }: FinishedRun): Row[] {
  const { info } = task.model;
  return [
    ['knn-lm', version()],
    ['Node.js', process.version],
    ['System', `${systemType()} ${release()}, ${process.arch}`],
    ['Processor', `${cpus()[0]?.model ?? 'unknown'}, ${count(availableParallelism())} cores used`],
    ['Faiss binding', neighbors.index.engine],
    ['Model runs on', `${info.device}, ${info.precision}`],
  ];
}

async function fingerprints({ task, neighbors }: FinishedRun): Promise<FactTable> {
  const found = await fingerprintsOf(task, neighbors);
  const rows: readonly (readonly [name: string, value: string | undefined])[] = [
    ['Model', found.model],
    ['Module', found.module],
    ['Dictionary', found.dictionary],
    ['Text', task.dataset.fingerprint],
    ['Datastore', found.datastore],
    ['Index (SHA-256)', found.index],
  ];
  return { title: 'Fingerprints', rows: rows.map(([name, value]) => [name, value ?? 'not known']) };
}

function timesAndSizes({ values, task, neighbors, seconds }: FinishedRun): Row[] {
  const { datastore, index } = neighbors;
  const { targetCount } = task.plan;
  const keyBytes = datastore.rows * datastore.dimension * (datastore.dtype === 'fp16' ? 2 : 4);
  const valueBytes = datastore.rows * 8;
  const indexBytes = index.files.reduce((sum, file) => sum + statSync(file).size, 0);
  return [
    ['Evaluation', `${seconds.toFixed(1)} s, ${count(Math.round(targetCount / seconds))} tokens a second`],
    ['Most memory', megabytes(process.resourceUsage().maxRSS * 1024)],
    ['Text', `${count(task.dataset.tokenCount)} tokens, ${count(task.dataset.length)} lines`],
    ['Model', `${String(values['path'])}, ${count(task.model.info.parameters)} parameters`],
    [
      'Datastore',
      `${datastore.folder}, ${count(datastore.rows)} entries of ${datastore.dimension} ${datastore.dtype}, ${megabytes(keyBytes + valueBytes)}`,
    ],
    ['Index', `${index.files.join(', ')}, ${megabytes(indexBytes)}`],
  ];
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toLocaleString('en-US', { maximumFractionDigits: 1 })} MB`;
}
