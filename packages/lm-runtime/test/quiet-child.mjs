// Opens a model, runs it in each precision, and prints what it has seen of itself as JSON: sockets that were open at any
// time, and whether telemetry is off for native code of this process.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { LanguageModel } from '../dist/index.js';

const [folder, onnx] = process.argv.slice(2);

/** Inodes of this process's sockets that the kernel lists as internet sockets. */
function internetSockets() {
  const own = readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${descriptor}`))?.[1] ?? [];
    } catch {
      return []; // closed since
    }
  });
  const listed = ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((protocol) => {
    try {
      return readFileSync(`/proc/self/net/${protocol}`, 'utf8').split('\n').slice(1);
    } catch {
      return [];
    }
  });
  const inodes = new Set(listed.map((line) => line.trim().split(/\s+/)[9]));
  return own.filter((inode) => inodes.has(inode));
}

const sockets = new Set();
const look = () => internetSockets().forEach((inode) => sockets.add(inode));
const timer = setInterval(look, 2);

const tokens = new Int32Array(64 * 32).fill(5);
const batch = { rows: 64, width: 32, tokens, targets: tokens, positions: Int32Array.from(tokens.keys()) };
const modes = [
  [folder, { precision: 'fp32' }],
  [folder, { precision: 'int8', moduleToCapture: 'layers[0].fc1' }],
  [onnx, {}],
];
for (const [path, options] of modes) {
  const model = await LanguageModel.open(path, { purpose: 'score', threads: 2, ...options });
  await model.run(batch);
  await model.close();
}
look();
clearInterval(timer);
console.log(JSON.stringify({ sockets: [...sockets], telemetry: process.env.ORT_DISABLE_TELEMETRY }));
