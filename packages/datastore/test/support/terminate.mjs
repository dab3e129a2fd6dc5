// Ends worker threads in the middle of distance computations, and the process right after starting one. Prints "alive"
// if that did no harm: an exception in a completion callback would abort the process.
//
//   node terminate.mjs FOLDER
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { Datastore } from '../../dist/index.js';

async function compute(folder) {
  const datastore = await Datastore.open(folder, { engine: 'native' });
  const ids = Float64Array.from({ length: 200 * 1024 }, (_, i) => (i * 7919) % datastore.rows);
  const queries = datastore.readKeys(0, 200);
  return { datastore, run: () => datastore.squaredDistances(queries, ids, 1024) };
}

if (isMainThread) {
  const folder = process.argv[2];
  for (let round = 0; round < 10; round++) {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: folder });
    await new Promise((resolve) => worker.once('message', resolve));
    await new Promise((resolve) => setTimeout(resolve, round));
    await worker.terminate();
  }
  const { datastore, run } = await compute(folder);
  void run();
  datastore.close();
  process.stdout.write('alive\n', () => process.exit(0));
} else {
  const { run } = await compute(workerData);
  parentPort.postMessage('running');
  for (;;) await Promise.all([run(), run(), run()]);
}
