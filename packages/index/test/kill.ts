import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Source text of a datastore over a file of single-precision numbers, for a process of its own. */
export function fileSource(keys: string, folder: string, rows: number, dimension: number): string {
  return `(() => {
    const bytes = readFileSync(${JSON.stringify(keys)});
    const keys = new Float32Array(bytes.buffer, bytes.byteOffset, ${rows * dimension});
    const read = (start, count) => keys.slice(start * ${dimension}, (start + count) * ${dimension});
    return {
      folder: ${JSON.stringify(folder)}, rows: ${rows}, dimension: ${dimension}, readKeys: read,
      gatherKeys: (ids) => Float32Array.from([...ids].flatMap((id) => [...read(id, 1)])),
    };
  })()`;
}

/** Starts a script that prints something when it begins its work, and kills it so many milliseconds after that. */
export async function runAndKill(script: string, afterMs: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cwd = fileURLToPath(new URL('..', import.meta.url));
    const text = `import { readFileSync } from 'node:fs';
      import * as index from '@knn-lm/index';
      console.log('begins');
      ${script}`;
    const child = execFile(
      process.execPath,
      ['--input-type=module', '-e', text],
      { cwd },
      (error, _, stderr) => {
        clearTimeout(timer);
        if (error === null) resolve(true);
        else if (error.signal === 'SIGKILL') resolve(false);
        else reject(new Error(stderr));
      },
    );
    let timer: NodeJS.Timeout | undefined;
    child.stdout?.once('data', () => (timer = setTimeout(() => child.kill('SIGKILL'), afterMs)));
  });
}
