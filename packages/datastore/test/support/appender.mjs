// Appends a datastore in a process of its own, and fails in a chosen way at a chosen write to the file system.
//
//   node appender.mjs '{"folder", "options": {rows, dimension, dtype, identity, ...}, "batch", "first", "fault", "at", "pauseMs"}'
//
// With `first` the rows are those of a text behind the first rows of a finished datastore.
// With `weigh` the rows have weights.
// fault `kill`: SIGKILL to itself in the middle of operation number `at`; `ENOSPC` or `EIO`: that operation fails.
// Prints one line of JSON: { operations, committedRows, error }.
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';

const {
  folder,
  options,
  batch,
  first,
  weigh,
  fault,
  at = Infinity,
  pauseMs = 0,
} = JSON.parse(process.argv[2]);
let operations = 0;

async function faulty(original, self, args, half) {
  operations++;
  if (operations !== at) return original.apply(self, args);
  if (fault === 'kill') {
    await half?.();
    process.kill(process.pid, 'SIGKILL');
    await pause(60_000);
  }
  await half?.();
  throw Object.assign(new Error(`${fault}: injected`), { code: fault });
}

const probe = await fs.open(process.execPath, 'r');
const prototype = Object.getPrototypeOf(probe);
await probe.close();
for (const name of ['datasync', 'sync', 'truncate', 'writeFile']) {
  const original = prototype[name];
  prototype[name] = function (...args) {
    return faulty(original, this, args);
  };
}
const write = prototype.write;
prototype.write = function (bytes, offset, length, position) {
  // The first half arrives, as when the disk fills up or the process dies in a write.
  const half = () => write.call(this, bytes, offset, length >> 1, position);
  return faulty(write, this, [bytes, offset, length, position], half);
};
for (const name of ['rename', 'link', 'rm', 'rmdir']) {
  const original = fs[name];
  fs[name] = (...args) => faulty(original, fs, args);
}
syncBuiltinESMExports();

const { DatastoreWriter } = await import('../../dist/index.js');
const { rows, dimension, dtype } = options;

// As in rows.ts.
function element(row, column) {
  let x = Math.imul(row + 1, 0x9e3779b1) ^ Math.imul(column + 1, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 29 - 4;
}

let writer;
let error;
try {
  const begin = first === undefined ? DatastoreWriter.create : DatastoreWriter.extend;
  writer = await begin(folder, options);
  const base = first ?? 0;
  for (let row = writer.committedRows; row < rows;) {
    const count = Math.min(batch, rows - row);
    const keys = Float32Array.from({ length: count * dimension }, (_, i) =>
      element(base + row + Math.floor(i / dimension), i % dimension),
    );
    const values = Int32Array.from({ length: count }, (_, i) => (base + row + i) % 1000);
    if (dtype !== 'fp32') throw new Error('the appender writes fp32');
    await writer.append(keys, values);
    row += count;
    if ((row / batch) % 3 === 0) await writer.commit();
    if (pauseMs > 0) await pause(pauseMs);
  }
  if (weigh) await writer.writeWeights([Float32Array.from({ length: rows }, (_, i) => i + 1)]);
  await writer.finish();
} catch (cause) {
  error = { name: cause.name, code: cause.code, message: cause.message, hint: cause.hint };
}
await writer?.close().catch(() => undefined);
console.log(JSON.stringify({ operations, committedRows: writer?.committedRows, error }));
