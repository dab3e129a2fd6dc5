import type { Logger } from '@knn-lm/common';
import type { ParsedArguments } from './parse.js';

/**
 * Says which of the given options have no effect: one line for GPU options, one for those that change nothing here.
 *
 * @param parsed - the command line
 * @param logger - receives the lines
 */
export function reportOptionsWithoutEffect(parsed: ParsedArguments, logger: Logger): void {
  const named = (effect: string) =>
    parsed.given.filter((option) => option.effect === effect).map((option) => option.flags[0]);
  const gpu = named('gpu');
  if (gpu.length > 0 && !(gpu.length === 1 && parsed.values['knn_device_id'] === '-1')) {
    logger.info(
      `the CPU is used: ${gpu.join(', ')} ${gpu.length === 1 ? 'has' : 'have'} no effect on this machine`,
    );
  }
  const ignored = named('ignored').filter((name) => name !== '--user-dir');
  if (ignored.length > 0) logger.info(`accepted without effect: ${ignored.join(', ')}`);
}
