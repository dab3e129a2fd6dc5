/**
 * Waits until all are done, whatever happens to one: nothing is going on any more when this has returned or thrown.
 *
 * @throws the error of the first, in their order, that failed
 */
export async function waitForAll(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
