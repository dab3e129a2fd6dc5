// Tokens per second of a model, by batch shape: node packages/lm-runtime/bench/throughput.mjs [MODEL] [block] [context] [threads]
// Words are drawn from Zipf's law, so that the bands of an adaptive softmax are used as in a text.
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { LanguageModel } from '../dist/index.js';

const demo = fileURLToPath(new URL('../../../demo/model.pt', import.meta.url));
const [path = demo, block = '128', context = '128', threads = String(availableParallelism())] =
  process.argv.slice(2);

/** A batch of windows of which the last `block` columns are wanted. */
function zipfBatch(rows, vocabSize) {
  const width = Number(context) + Number(block);
  const tokens = Int32Array.from(
    { length: rows * width + 1 },
    () => 4 + Math.floor((vocabSize - 4) ** Math.random()) - 1,
  );
  const positions = Int32Array.from(tokens.subarray(0, rows * width).keys()).filter(
    (i) => i % width >= Number(context),
  );
  return { rows, width, tokens: tokens.slice(0, -1), targets: tokens.slice(1), positions };
}

for (const purpose of ['keys', 'score']) {
  const model = await LanguageModel.open(path, { purpose, threads: Number(threads) });
  for (const rows of [1, 2, 4, 8, 16]) {
    const batch = zipfBatch(rows, model.info.vocabSize);
    await model.run(batch);
    const times = [];
    const cpuStart = process.cpuUsage();
    const start = performance.now();
    while (performance.now() - start < 3000 || times.length < 3) {
      const before = performance.now();
      await model.run(batch);
      times.push(performance.now() - before);
    }
    const { user, system } = process.cpuUsage(cpuStart);
    const scored = batch.positions.length;
    const median = times.sort((a, b) => a - b)[times.length >> 1];
    console.log(
      `${purpose} ${rows} x (${context} + ${block}): ${Math.round((scored / median) * 1000)} tokens/s (best ` +
        `${Math.round((scored / times[0]) * 1000)}), ${((user + system) / 1e3 / times.length / scored).toFixed(3)} ` +
        `cpu-s per 1000 tokens, ${Math.round(process.memoryUsage().rss / 2 ** 20)} MB`,
    );
  }
  await model.close();
}
