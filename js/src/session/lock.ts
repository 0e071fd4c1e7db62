/** One at a time, in the order in which they came. */

import { unlessAborted } from '../common/signals.js';

export class Lock {
  #last: Promise<void> = Promise.resolve();

  /** Waits for its turn, which ends when what is returned is called. Rejects with the signal's reason once that is aborted. */
  async acquire(signal: AbortSignal): Promise<() => void> {
    const before = this.#last;
    let release = () => {};
    this.#last = new Promise((resolve) => (release = resolve));
    try {
      await unlessAborted(before, signal);
      return release;
    } catch (error) {
      // who comes behind still waits for who was before
      void before.then(release);
      throw error;
    }
  }
}
