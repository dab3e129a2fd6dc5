import { selectCommand } from './commands/knn-lm.js';
import { commands } from './commands/registry.js';
import { runAsProcess } from './terminal/run.js';
import { keepYoungGenerationSmall } from './terminal/young-generation.js';
import type { Invocation } from './terminal/command.js';

/**
 * Runs one of the programs as the process and sets its exit status: 0, 1 for failures, 2 for usage errors, 130 after
 * Ctrl-C.
 *
 * @param program - name of the program, as installed in `node_modules/.bin`
 * @param argv - its arguments
 */
export async function main(program: string, argv: readonly string[]): Promise<void> {
  keepYoungGenerationSmall();
  await runAsProcess(program, program === 'knn-lm' ? selectCommand(argv) : programNamed(program, argv));
}

function programNamed(program: string, argv: readonly string[]): Invocation {
  const found = Object.entries(commands).find(([, command]) => command.program === program);
  if (found === undefined) throw new TypeError(`there is no program ${program}`);
  return { name: found[0], argv, load: found[1].load };
}
