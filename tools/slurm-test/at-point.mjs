// Loaded into a command before its own code (node --import): stops it in the middle of its work, at a point that does not
// depend on how fast anything is. The first time that a task comes to its point, it is killed, or held there.
//
//   AT_POINT=kill   it kills itself with SIGKILL
//   AT_POINT=hold   it says where it is held, and goes on when the file `go` appears, or when it is told to stop
//
// AT_POINT_FOLDER has a file for every task that came to its point; a task that begins again goes past it.
import { createHash } from 'node:crypto';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const folder = process.env.AT_POINT_FOLDER;
const [command, ...args] = process.argv.slice(2);
const name = `${command}-${createHash('md5').update(args.join(' ')).digest('hex').slice(0, 8)}`;
const mark = join(folder, `${name}.json`);

/** Where each command has made something, and not finished: before this file gets its name, or before this write. */
const points = {
  preprocess: { rename: /^train\.bin$/ },
  'convert-checkpoint': { rename: /^score\.onnx$/ },
  'generate-datastore': { write: 5 },
  'merge-datastore': { rename: /^datastore\.msgpack$/ },
  'build-index': { rename: /^faiss\.trained_index$|^faiss\.index$|\.partial$/ },
  'merge-index': { rename: /^faiss\.index$/ },
  eval: { rename: /\.part$/ },
  'reduce-eval': { rename: /^result\.json$/ },
};
const point = points[command];

let isStopped = false;
let isPast = existsSync(mark);

async function arrive() {
  if (isPast) return;
  isPast = true;
  const { SLURMD_NODENAME: node, SLURM_RESTART_COUNT: restarts = '0' } = process.env;
  // Under its final name when it is whole: whoever waits for it reads it at once.
  writeFileSync(`${mark}.new`, JSON.stringify({ command, args, node, restarts, pid: process.pid }));
  renameSync(`${mark}.new`, mark);
  if (process.env.AT_POINT === 'kill') {
    process.kill(process.pid, 'SIGKILL');
    await new Promise(() => undefined);
  }
  while (!isStopped && !existsSync(join(folder, 'go'))) await sleep(50);
}

if (!isPast && point !== undefined) {
  process.on('SIGTERM', () => (isStopped = true));
  const rename = fs.rename;
  fs.rename = async (from, to) => {
    if (point.rename?.test(basename(to))) await arrive();
    return rename(from, to);
  };
  const probe = await fs.open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(probe);
  await probe.close();
  const write = prototype.write;
  let writes = 0;
  prototype.write = async function (...given) {
    if (++writes === point.write) await arrive();
    return write.apply(this, given);
  };
  syncBuiltinESMExports();
}
