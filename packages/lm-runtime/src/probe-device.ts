import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The built program beside this file; when this file itself runs unbuilt (tests), that of the last build. */
const program = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../dist/device-probe.js' : './device-probe.js', import.meta.url),
);

/** A driver that takes longer than this to start does not start. */
const patienceMs = 60_000;

/** Long enough for a reason. */
const longestReason = 300;

/**
 * Tries a device in a process of its own: drivers that are missing or broken write to the terminal, and may end the
 * process in which they are tried (ONNX Runtime 1.27 crashes at exit when WebGPU has found no adapter).
 *
 * @param device - execution provider of ONNX Runtime
 * @returns why it cannot be used, or `undefined` when it can
 */
export async function probeDevice(device: string): Promise<string | undefined> {
  const child = spawn(process.execPath, [program, device], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: patienceMs,
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child, 'close');
  const [answer, reason = ''] = output.split('\n');
  if (answer === 'works') return undefined;
  return answer === 'fails' ? shortReason(reason) : 'the driver ended the process that tried it';
}

/** What is left of a message of native code without its place in the source and the name of the function. */
function shortReason(message: string): string {
  const words = message.replace(/\/\S*\.(?:cc|h|cpp):\d+ /, '').replace(/^.*\bwas false\. /, '');
  return words.trim().slice(0, longestReason);
}
