/** Runs asynchronous work one after another, in the order it came. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * @param work - begins when everything before it has settled
   * @returns what `work` resolves with or rejects with; a rejection does not stop the work behind it
   */
  take<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work, work);
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}
