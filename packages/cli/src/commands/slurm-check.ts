import { join } from 'node:path';
import { planRun, shardId, SlurmError, type CommandWord, type Recipe, type Stage } from '@knn-lm/slurm';
import { parseArguments } from '../options/parse.js';
import { UsageError } from '../terminal/usage-error.js';
import { commands } from './registry.js';

/**
 * Parses every stage's command line, so that a mistyped flag is found now and not after hours in the queue.
 *
 * @param recipe - the recipe
 * @throws `SlurmError` `SLURM_RECIPE`
 */
export async function checkStageCommands(recipe: Recipe): Promise<void> {
  for (const stage of planRun(recipe, '/').stages) await checkStage(stage);
}

async function checkStage(stage: Stage): Promise<void> {
  const [name, ...words] = stage.command.slice(1).map(plainWord);
  const { commandLine } = await commands[name].load();
  try {
    parseArguments(commandLine, words);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new SlurmError('SLURM_RECIPE', `stages.${stage.name}.flags: ${error.message}`, {
      hint: `knn-lm ${name} --help lists the flags.`,
      details: { stage: stage.name },
    });
  }
}

/** A word as the first task has it. */
function plainWord(word: CommandWord): string {
  if (typeof word === 'string') return word;
  return word !== shardId && 'work' in word ? join('/', word.work) : '0';
}
