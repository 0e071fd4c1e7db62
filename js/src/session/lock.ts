/** A lock that is granted in the order of the requests. */

import { unlessAborted } from '../common/signals.js';

export class Lock {
  #last: Promise<void> = Promise.resolve();

  /**
   * Waits for the lock and returns its release function. Rejects with the signal's reason when it
   * is aborted.
   */
  async acquire(signal: AbortSignal): Promise<() => void> {
    const before = this.#last;
    let release = () => {};
    this.#last = new Promise((resolve) => (release = resolve));
    try {
      await unlessAborted(before, signal);
      return release;
    } catch (error) {
      // later requests still wait for earlier ones
      void before.then(release);
      throw error;
    }
  }
}
