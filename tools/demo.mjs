// The whole recipe on real text: public-domain speeches and a small model that has read only those before 1961.
//
//   npm run demo            goes on where an interrupted demo stopped
//   npm run demo -- --fresh starts over
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
process.chdir(root);
const { values: flags } = parseArgs({
  options: { fresh: { type: 'boolean', default: false }, work: { type: 'string', default: 'demo/work' } },
});
const work = flags.work;
if (flags.fresh) rmSync(work, { recursive: true, force: true });
mkdirSync(work, { recursive: true });

const data = `${work}/data-bin`;
const datastore = `${work}/datastore`;
const model = ['--path', 'demo/model.pt', '--model-cache', `${work}/model`];
const blocks =
  '--sample-break-mode none --tokens-per-sample 256 --context-window 128 --max-tokens 2048 --softmax-batch 1024'.split(
    ' ',
  );
const capture = ['--task', 'language_modeling_knn', '--module-to-capture', 'layers[-1].final_layer_norm'];
const neighbors = [
  '--datastore',
  datastore,
  '--num-neighbors',
  '1024',
  '--recompute-distance',
  '--load-keys',
  '--score-knn-lm',
];
const times = [];

process.on('SIGINT', () => undefined); // The command that runs gets it too, and stops cleanly.

console.log(
  'The demo: a language model trained on State of the Union addresses before 1961 reads those since.\n' +
    'Its datastore holds 53 modern addresses; it is tested on others. Nothing is trained.\n',
);
await step('binarize the texts', 'fairseq-preprocess', [
  '--only-source',
  '--srcdict',
  'demo/dict.txt',
  '--trainpref',
  'demo/text/speeches.train.tokens',
  '--validpref',
  'demo/text/speeches.valid.tokens',
  '--testpref',
  'demo/text/speeches.test.tokens',
  '--destdir',
  data,
  '--workers',
  '2',
]);
await step('generate the datastore', 'generate_lm_datastore', [
  data,
  ...capture,
  ...blocks,
  '--gen-subset',
  'train',
  ...model,
  '--datastore',
  datastore,
  '--keys-dtype',
  'fp16',
  '--saving-mode',
]);
await step('build the index', 'build_faiss_index', [
  '--datastore',
  datastore,
  '--ncentroids',
  '512',
  '--code-size',
  '32',
]);
const lm = await step('evaluate the model alone', 'fairseq-eval-lm', [
  data,
  ...model,
  ...blocks,
  '--gen-subset',
  'test',
]);
const tuned = await step('choose lambda and temperature on the validation text', 'knn-lm', [
  'tune',
  data,
  ...capture,
  ...model,
  ...blocks,
  ...neighbors,
  '--gen-subset',
  'valid',
]);
const best = /best: --num-neighbors (\S+) --lambda-value (\S+) --temperature-value (\S+)/.exec(tuned);
if (best === null) throw new Error('knn-lm tune printed no best settings');
const [, , lambda, temperature] = best;
const knn = await step('evaluate the model with its neighbours', 'eval_knn_lm', [
  data,
  ...capture,
  ...model,
  ...blocks,
  ...neighbors,
  '--lambda-value',
  lambda,
  '--temperature-value',
  temperature,
  '--gen-subset',
  'test',
  '--report',
  `${work}/report.html`,
]);
summarize(perplexity(lm), perplexity(knn));

/** Shows the command as one would type it, runs it, and keeps what it prints. */
async function step(title, program, args) {
  console.log(`\n== ${title}\n$ ${program} ${args.map(quote).join(' ')}`);
  const started = Date.now();
  const child = spawn(join('node_modules', '.bin', program), args, { stdio: ['inherit', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text) => {
    printed += text;
    process.stdout.write(text);
  });
  const status = await new Promise((resolve, reject) =>
    child.on('error', reject).on('close', (code) => resolve(code ?? 1)),
  );
  if (status !== 0) {
    console.error(
      status === 130
        ? '\nStopped; npm run demo goes on from here.'
        : `\nThe demo stops: ${program} ended with status ${status}.`,
    );
    process.exit(status);
  }
  times.push({ title, seconds: (Date.now() - started) / 1000 });
  return printed;
}

function perplexity(printed) {
  const match = /Loss \(base 2\): \S+, Perplexity: (\S+)\s*$/.exec(printed.trimEnd());
  if (match === null) throw new Error('no perplexity was printed');
  return Number(match[1]);
}

function summarize(lmPerplexity, knnPerplexity) {
  const total = times.reduce((sum, { seconds }) => sum + seconds, 0);
  const sizes = [
    ['texts as tokens', folderBytes(data)],
    ['model folder', folderBytes(`${work}/model`)],
    ['datastore keys and values', fileBytes(`${datastore}/keys.npy`) + fileBytes(`${datastore}/values.npy`)],
    ['index', fileBytes(`${datastore}/faiss.index`)],
  ];
  const row = (name, value) => console.log(`  ${name.padEnd(52)} ${value.padStart(10)}`);
  console.log(`\n== done (everything is in ${relative(root, join(root, work))})`);
  for (const { title, seconds } of times) row(title, `${seconds.toFixed(1)} s`);
  row('in all', `${total.toFixed(1)} s`);
  console.log();
  for (const [name, bytes] of sizes) row(name, `${(bytes / 1e6).toFixed(1)} MB`);
  console.log();
  row('perplexity of the language model alone', lmPerplexity.toFixed(2));
  row(`with neighbours (lambda ${lambda}, temperature ${temperature})`, knnPerplexity.toFixed(2));
  const gain = 100 * (1 - knnPerplexity / lmPerplexity);
  console.log(`\nOpen ${work}/report.html in a browser: where the neighbours help and hurt, token by token.`);
  console.log(
    '\nNext: your own text. Binarize it with the dictionary of your model (fairseq-preprocess --srcdict), then the same\n' +
      'commands; README.md has the recipe for WikiText-103, `knn-lm --help` every command.',
  );
  console.log(
    `\nThe same frozen model, no training: perplexity ${lmPerplexity.toFixed(1)} -> ${knnPerplexity.toFixed(1)} (${gain.toFixed(0)} % lower) after reading ${Math.round(readTokens() / 1000)}k tokens it had never seen.`,
  );
}

function readTokens() {
  return fileBytes(`${datastore}/values.npy`) / 8;
}

function quote(argument) {
  return /^[\w./,=:-]+$/.test(argument) ? argument : `'${argument}'`;
}

function fileBytes(path) {
  return existsSync(path) ? statSync(path).size : 0;
}

function folderBytes(path) {
  if (!existsSync(path)) return 0;
  return readdirSync(path, { recursive: true }).reduce(
    (sum, name) => sum + (statSync(join(path, name)).isFile() ? fileBytes(join(path, name)) : 0),
    0,
  );
}
