import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Folders that a script must have on its PATH to find the commands and Node.js: those of this process. */
export function commandFolders(): string[] {
  const commands = installedCommands();
  const node = dirname(process.execPath);
  return commands === undefined || commands === node ? [node] : [commands, node];
}

/** The folder with `knn-lm` in it: that it was called from, or `node_modules/.bin` above this package. */
function installedCommands(): string | undefined {
  const script = process.argv[1];
  if (script !== undefined && basename(script) === 'knn-lm') return dirname(script);
  let folder = import.meta.dirname;
  for (;;) {
    const candidate = join(folder, 'node_modules', '.bin');
    if (existsSync(join(candidate, 'knn-lm'))) return candidate;
    if (dirname(folder) === folder) return undefined;
    folder = dirname(folder);
  }
}
