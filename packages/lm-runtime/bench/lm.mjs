// The original kNN-LM's language model (Baevski and Auli, 2018: 247 million parameters) at full size with random weights:
// processor seconds, time and memory for a window of 3072 tokens, beside a plain matrix product on the same machine and
// beside torch where python3 has it. Processor time is what holds on a busy machine.
//
//   node packages/lm-runtime/bench/lm.mjs [--threads N] [--runs N] [--keep FOLDER]
//
// --keep uses (and leaves) the model in a folder; without it 2 GB of a temporary folder are used and freed.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { resolveModelFolder } from '@knn-lm/checkpoint';
import { GenerationModel, LanguageModel } from '../dist/index.js';
import { measure } from './support/measure.mjs';
import { measureProduct } from './support/matrix-product.mjs';
import { originalSettings, originalVocabulary, writeRandomCheckpoint } from './support/large-checkpoint.mjs';

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    runs: { type: 'string', default: '2' },
    keep: { type: 'string' },
    // What a process of its own measures, so that its peak memory is its own.
    measure: { type: 'string' },
    model: { type: 'string' },
  },
});
const threads = Number(values.threads);
const runs = Number(values.runs);
const width = originalSettings.tokens_per_sample;

/** Words by Zipf's law, so that the bands of the adaptive softmax are used as in a text. */
function zipfWindow(wanted) {
  const word = () => 4 + Math.floor((originalVocabulary - 4) ** Math.random()) - 1;
  const tokens = Int32Array.from({ length: width + 1 }, word);
  const positions = Int32Array.from({ length: wanted }, (_, i) => width - wanted + i);
  return { rows: 1, width, tokens: tokens.slice(0, -1), targets: tokens.slice(1), positions };
}

async function measureModel(name) {
  const [purpose, precision, wanted] = name.split(' ');
  const model = await LanguageModel.open(values.model, { purpose, precision, threads });
  const window = zipfWindow(Number(wanted));
  await model.run({ ...window, positions: Int32Array.of(10) });
  const result = await measure(runs, () => model.run(window));
  await model.close();
  return { ...result, peakMegabytes: process.resourceUsage().maxRSS / 1024 };
}

/** Steps of generation in each measurement. */
const stepsPerRun = 20;

/** Steps after a context, and how long it takes to read the context. */
async function measureSteps(name) {
  const [, precision, context] = name.split(' ');
  const model = await GenerationModel.open(values.model, { precision, threads });
  const { tokens } = zipfWindow(1);
  let generation;
  const reading = await measure(1, async () => {
    generation = await model.start(tokens.slice(0, Number(context)));
  });
  let at = Number(context);
  const steps = await measure(runs, async () => {
    for (let i = 0; i < stepsPerRun; i++) await generation.advance(tokens[at++]);
  });
  await model.close();
  return { reading, steps, peakMegabytes: process.resourceUsage().maxRSS / 1024 };
}

/** The same in a process of its own. */
function measureApart(name, model) {
  const args = ['--measure', name, '--model', model, '--threads', String(threads), '--runs', String(runs)];
  const { stdout, status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the measurement of ${name} ended with ${status}`);
  return JSON.parse(stdout);
}

function measureTorch() {
  const script = fileURLToPath(new URL('./support/torch_lm.py', import.meta.url));
  for (const python of ['python3', '/usr/bin/python3']) {
    const { stdout, status } = spawnSync(python, [script, '--threads', String(threads)], {
      encoding: 'utf8',
    });
    if (status === 0) return JSON.parse(stdout);
  }
  return undefined;
}

/** Multiplications and additions of the layers for one window: 12 matrices of d x d each, and causal attention. */
function layerOperations() {
  const { decoder_embed_dim: d, decoder_layers: layers } = originalSettings;
  return layers * (2 * 12 * d * d * width + 2 * d * width * width);
}

function print(label, { cpuSeconds, seconds, peakMegabytes }, torch) {
  const memory = peakMegabytes === undefined ? '' : `, peak ${(peakMegabytes / 1024).toFixed(2)} GB`;
  const ratio = torch === undefined ? '' : `, ${(torch.cpuSeconds / cpuSeconds).toFixed(2)} x torch`;
  console.log(`${label.padEnd(34)} ${cpuSeconds.toFixed(1)} cpu-s, ${seconds.toFixed(1)} s${memory}${ratio}`);
}

function printSteps(name, { reading, steps, peakMegabytes }) {
  const each = (1000 * steps.cpuSeconds) / stepsPerRun;
  const wall = (1000 * steps.seconds) / stepsPerRun;
  console.log(
    `${`${name} tokens before`.padEnd(34)} ${each.toFixed(0)} cpu-ms, ${wall.toFixed(0)} ms a token, ` +
      `${reading.cpuSeconds.toFixed(1)} cpu-s for the tokens before, peak ${(peakMegabytes / 1024).toFixed(2)} GB`,
  );
}

async function prepareModel(folder) {
  await mkdir(folder, { recursive: true });
  const checkpoint = join(folder, 'model.pt');
  if (!existsSync(checkpoint)) await writeRandomCheckpoint(checkpoint);
  const before = performance.now();
  const model = await resolveModelFolder(checkpoint);
  const seconds = (performance.now() - before) / 1000;
  const { maxRSS } = process.resourceUsage();
  console.log(`checkpoint converted in ${seconds.toFixed(1)} s, peak ${Math.round(maxRSS / 1024)} MB`);
  return model;
}

async function main() {
  const folder = values.keep ?? (await mkdtemp(join(tmpdir(), 'knn-lm-bench-')));
  try {
    const model = await prepareModel(folder);
    console.log(`one window of ${width} tokens, ${threads} threads, best of ${runs} by processor time`);
    const product = await measureProduct(threads);
    console.log(`a matrix product: ${product.toFixed(0)} billion operations a processor second`);
    const torch = measureTorch();
    if (torch === undefined) console.log('torch is not installed for python3: no comparison');
    else {
      print(`torch ${torch.version}, transformer`, torch.transformer);
      print('torch, transformer and softmax', torch);
    }
    const limit = layerOperations() / product / 1e9;
    console.log(`${'the layers at the speed of a product'.padEnd(34)} ${limit.toFixed(1)} cpu-s`);
    const names = [
      'keys fp32 1536',
      'score fp32 1536',
      'score fp32 3072',
      'keys int8 1536',
      'score int8 1536',
    ];
    for (const name of names) print(`${name} rows`, measureApart(name, model), torch);
    for (const name of ['step fp32 1024', 'step int8 1024']) printSteps(name, measureApart(name, model));
  } finally {
    if (values.keep === undefined) await rm(folder, { recursive: true });
  }
}

if (values.measure === undefined) await main();
else {
  const measured = values.measure.startsWith('step') ? measureSteps : measureModel;
  console.log(JSON.stringify(await measured(values.measure)));
}
