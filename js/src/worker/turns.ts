/**
 * Runs the steps of all calls, one at a time: clients take turns, and so do the calls of a client.
 */

import { FairQueue } from './queue.js';

export class Turns<Client> {
  readonly #check: () => void;
  readonly #steps = new FairQueue<Client>(1);

  /** `check` throws if nothing may run any more. */
  constructor(check: () => void) {
    this.#check = check;
  }

  /** Registers a call of this client. */
  of(client: Client): Turn {
    return new Turn((step) => void this.#steps.add(client, step), this.#check);
  }
}

/**
 * The turns of one call. It may use the model after `next` until it calls `next` again or `end`.
 */
export class Turn {
  readonly #queue: (step: () => Promise<void>) => void;
  readonly #check: () => void;
  #messages: MessageChannel | undefined;
  #end = () => {};

  constructor(queue: (step: () => Promise<void>) => void, check: () => void) {
    this.#queue = queue;
    this.#check = check;
  }

  /** Ends this call's step, if it has one, and waits for the next. Throws what `check` throws. */
  async next(): Promise<void> {
    this.#end();
    await new Promise<void>((begin) => {
      this.#queue(async () => {
        await this.#handleMessages();
        const over = new Promise<void>((resolve) => (this.#end = resolve));
        begin();
        await over;
      });
    });
    this.#check();
  }

  /** Ends this call's step. `next` may be called again. */
  end(): void {
    this.#end();
    this.#messages?.port1.close();
    this.#messages = undefined;
  }

  /**
   * Resolves after the messages that arrived before were handled. A step of the CPU engine never
   * leaves the microtask queue, so a `cancel` would wait for the end of the answer. A timer would
   * do too, but browsers round it up to 4 ms.
   */
  #handleMessages(): Promise<void> {
    const { port1, port2 } = (this.#messages ??= new MessageChannel());
    return new Promise((resolve) => {
      port1.onmessage = () => {
        port1.onmessage = null; // a port that listens keeps Node alive
        resolve();
      };
      port2.postMessage(null);
    });
  }
}
