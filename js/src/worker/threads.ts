/** Asks the page for the engine's other threads. */

import type { ThreadsAsked, ThreadStart } from '../common/threads.js';

/** Passes on what is asked; the port goes with it. */
export type AskForThreads = (asked: ThreadsAsked) => void;

export class Threads {
  #others = 0;

  /** Number of threads that compute. One that does not start counts until the page says so. */
  get running(): number {
    return 1 + this.#others;
  }

  /** Asks for `count` threads without waiting; each joins the pool when it is ready. */
  start(count: number, start: ThreadStart, ask: AskForThreads): void {
    const { port1, port2 } = new MessageChannel();
    this.#others += count;
    port1.onmessage = () => (this.#others -= 1);
    ask({ count, start, failed: port2 });
  }
}
