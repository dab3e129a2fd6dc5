// Checks what a run of billions of keys relies on, with sparse files and made-up counts instead of data: rows beyond
// 2^32, offsets beyond 2^53 bytes, how shards are cut, the size of manifests, open files and command lines.
//
//   node tools/simulate-scale.mjs [--keys 1000000000] [--dimension 1024] [--tasks 256]
//
// Takes some seconds and some megabytes of disk: the arrays are 77 GB long and almost all hole. Needs the built packages.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Datastore, DatastoreWriter, linkDatastores } from '../packages/datastore/dist/index.js';
import { readManifest, writeManifest } from '../packages/datastore/dist/manifest.js';
import { planSegmentRows } from '../packages/datastore/dist/segments.js';
import { shardRows } from '../packages/index/dist/index-target.js';
import { checkRecipe, checkSite, planRun, sbatchScript } from '../packages/slurm/dist/index.js';

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000000' },
    dimension: { type: 'string', default: '1024' },
    tasks: { type: 'string', default: '256' },
  },
});
const keys = Number(values.keys);
const dimension = Number(values.dimension);
const tasks = Number(values.tasks);
const folder = mkdtempSync(join(tmpdir(), 'knn-lm-scale-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const number = (value) => value.toLocaleString('en-US');
let failed = 0;

await check('rows beyond 2^32', rowsBeyond32Bits);
await check('offsets beyond 2^53 bytes', offsetsBeyond53Bits);
await check('shards', shardsAreWhole);
await check('manifest', manifestSize);
await check('open files', openFiles);
await check('command lines', commandLines);
process.exitCode = failed > 0 ? 1 : 0;

async function check(name, action) {
  try {
    console.log(`ok      ${name.padEnd(28)}${await action()}`);
  } catch (error) {
    failed++;
    console.log(`failed  ${name.padEnd(28)}${error.message}`);
  }
}

function require(condition, complaint) {
  if (!condition) throw new Error(complaint);
}

/** Reads, gathers and computes distances on both sides of the largest 32-bit number. */
async function rowsBeyond32Bits() {
  const shape = { rows: 2 ** 32 + 2 ** 29, dimension: 4, dtype: 'fp16' };
  const marked = [0, 2 ** 31, 2 ** 32 - 1, 2 ** 32, shape.rows - 1];
  const store = join(folder, 'sparse');
  mkdirSync(store);
  const arrays = { 'keys.npy': shape.dimension * 2, 'values.npy': 8 };
  for (const [name, rowBytes] of Object.entries(arrays)) {
    const file = openSync(join(store, name), 'w');
    for (const [i, row] of marked.entries()) {
      const cell = Buffer.alloc(rowBytes);
      // 0x3c00 is 1 in half precision: row i has i ones.
      if (name === 'keys.npy') for (let at = 0; at < i; at++) cell.writeUInt16LE(0x3c00, 2 * at);
      else cell.writeBigInt64LE(BigInt(100 + i));
      writeSync(file, cell, 0, rowBytes, row * rowBytes);
    }
    closeSync(file);
    truncateSync(join(store, name), shape.rows * rowBytes);
  }
  const datastore = await Datastore.open(store, shape);
  try {
    const ids = Float64Array.from(marked);
    const found = [...datastore.gatherValues(ids)];
    require(found.every((value, i) => value === 100 + i), `values ${found.join(' ')}`);
    const distances = [...(await datastore.squaredDistances(new Float32Array(4), ids, ids.length))];
    require(distances.every((distance, i) => distance === i), `squared distances ${distances.join(' ')}`);
    for (const [i, row] of marked.entries()) {
      const ones = datastore.readKeys(row, 1).filter((value) => value === 1).length;
      require(ones === i, `row ${number(row)} has ${ones} ones, expected ${i}`);
    }
  } finally {
    datastore.close();
  }
  const used = Object.keys(arrays).reduce((sum, name) => sum + statSync(join(store, name)).blocks * 512, 0);
  return `${number(shape.rows)} rows read and compared (${number(Math.round(used / 1024))} KiB on disk)`;
}

/** No file is that long: what asks for it must be refused by its number, not wrapped around. */
async function offsetsBeyond53Bits() {
  const rowBytes = 2 * dimension;
  const largest = Math.floor(Number.MAX_SAFE_INTEGER / rowBytes);
  require(BigInt(largest) * BigInt(rowBytes) ===
    BigInt(largest * rowBytes), 'an offset below 2^53 is not exact');
  require(keys <= largest, `${number(keys)} keys of ${rowBytes} bytes are more than 2^53 bytes`);
  const small = join(folder, 'small');
  mkdirSync(small);
  for (const [name, bytes] of [
    ['keys.npy', rowBytes],
    ['values.npy', 8],
  ]) {
    closeSync(openSync(join(small, name), 'w'));
    truncateSync(join(small, name), bytes);
  }
  for (const rows of [largest, largest + 1, 2 ** 53 - 1, 2 ** 53]) {
    const outcome = await Datastore.open(small, { rows, dimension, dtype: 'fp16' }).then(
      (datastore) => datastore.close() ?? 'opened',
      (error) => error.code,
    );
    require(/^DATASTORE_/.test(outcome), `${number(rows)} rows of a file of one: ${outcome}`);
  }
  return `${number(keys)} keys are ${number(keys * rowBytes)} bytes; up to ${number(largest)} keys have exact offsets`;
}

/** Shards are contiguous, cover everything, and are of one size to a batch. */
function shardsAreWhole() {
  let checked = 0;
  for (const rows of [keys, 103_225_485, 2 ** 32 + 1, 10 ** 12 + 7]) {
    for (const count of [1, 3, tasks, 9973]) {
      let next = 0;
      let [least, most] = [Infinity, 0];
      for (let id = 0; id < count; id++) {
        const { firstRow, endRow } = shardRows(rows, count, id);
        require(firstRow === next &&
          endRow > firstRow, `shard ${id} of ${count}: ${firstRow} to ${endRow}, expected ${next}`);
        [least, most] = [Math.min(least, endRow - firstRow), Math.max(most, endRow - firstRow)];
        next = endRow;
        checked++;
      }
      require(next === rows, `${count} shards end at ${next} of ${rows}`);
      require(most - least <= 512, `shards of ${rows} differ by ${most - least}`);
    }
  }
  return `${number(checked)} ranges without gap or overlap`;
}

async function manifestSize() {
  const sizes = [];
  for (const rows of [Math.ceil(keys / tasks), keys]) {
    const store = join(folder, `manifest-${rows}`);
    mkdirSync(store);
    const shape = { rows, dimension, dtype: 'fp16' };
    const segmentRows = planSegmentRows(shape);
    const checksum = createHash('sha256').digest('hex');
    const segments = Array.from({ length: Math.ceil(rows / segmentRows) }, (_, i) => ({
      rows: Math.min(segmentRows, rows - i * segmentRows),
      keys: checksum,
      values: checksum,
    }));
    const state = {
      version: 1,
      committedRows: rows,
      finished: true,
      replacing: false,
      segmentRows,
      segments,
      identity: {},
    };
    await writeManifest(store, { ...shape, ...state });
    const read = await readManifest(store);
    require(read?.rows === rows &&
      read.segments.length === segments.length, 'it is not read back as it was written');
    const [file] = readdirSync(store);
    sizes.push(
      `${number(rows)} rows: ${number(segments.length)} segments in ${number(Math.ceil(statSync(join(store, file)).size / 1024))} KiB`,
    );
  }
  return sizes.join('; ');
}

/** Files that stay open while a datastore of many parts is read, which a merge reads from all at once, too. */
async function openFiles() {
  const parts = [];
  for (let id = 0; id < tasks; id++) {
    const part = join(folder, 'parts', String(id));
    const writer = await DatastoreWriter.create(part, {
      rows: 1,
      dimension: 2,
      dtype: 'fp16',
      identity: { id },
    });
    await writer.append(Uint16Array.of(0x3c00, 0), Int32Array.of(id % 1000));
    await writer.finish();
    await writer.close();
    parts.push(part);
  }
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  const sources = [];
  for (const part of parts) sources.push(await Datastore.open(part));
  const merging = descriptors() - before;
  await linkDatastores(sources, join(folder, 'linked'), { force: true });
  for (const source of sources) source.close();
  const datastore = await Datastore.open(join(folder, 'linked'));
  const linked = descriptors() - before;
  const last = datastore.gatherValues(Float64Array.of(tasks - 1))[0];
  datastore.close();
  require(last === (tasks - 1) % 1000, `the last row has value ${last}`);
  require(descriptors() === before, `${descriptors() - before} files are left open`);
  const limit = Number(spawnSync('bash', ['-c', 'ulimit -n'], { encoding: 'utf8' }).stdout) || Infinity;
  require(Math.max(merging, linked) + 64 <
    limit, `${merging} files to merge ${tasks} shards, the limit is ${limit}`);
  return `${tasks} shards: ${merging} to merge them, ${linked} to read them as one (limit ${limit})`;
}

/** bash writes the name of every shard into one command: Linux takes 2 MiB, environment included. */
function commandLines() {
  const sizes = [tasks, 10_000].map((count) => {
    const stages = { generate: { tasks: count }, add: { tasks: count }, evaluate: { tasks: 1 } };
    const recipe = checkRecipe(
      { data: 'data-bin', model: 'model.pt', stages },
      { source: 'scale', folder: '/data' },
    );
    const work = `/scratch/${'x'.repeat(80)}/work`;
    const plan = planRun(recipe, work);
    const merge = plan.stages.find(({ name }) => name === 'merge');
    const script = sbatchScript(plan, merge, checkSite({}, 'none'), { run: '/run', path: ['/bin'] });
    // What the command would be given, counted by a function in its place.
    const counting = `knn-lm() { printf '%s ' "$@"; }; run=run shard=0 work=${work}; `;
    const command = script.slice(script.indexOf('exec ') + 'exec '.length).trimEnd();
    const { stdout } = spawnSync('bash', ['-c', `${counting}${command} | wc -c`], { encoding: 'utf8' });
    require(Number(stdout) > count * 80 &&
      Number(stdout) < 2 ** 21 - 2 ** 18, `${number(count)} shards: ${stdout.trim().slice(0, 40)} bytes`);
    return `${number(count)} shards: ${number(Number(stdout))} bytes`;
  });
  return sizes.join('; ');
}
