/** The steps of all calls that run: one at a time, clients in turn, and the calls of a client in turn. */

import { FairQueue } from './queue.js';

export class Turns<Client> {
  readonly #check: () => void;
  readonly #steps = new FairQueue<Client>(1);

  /** `check`: throws where nothing runs any more. */
  constructor(check: () => void) {
    this.#check = check;
  }

  /** The turn of a new call. */
  of(client: Client): Turn {
    return new Turn((step) => void this.#steps.add(client, step), this.#check);
  }
}

/** A call's place among the others. It may call the model between `next` and the following `next` or `end`. */
export class Turn {
  readonly #queue: (step: () => Promise<void>) => void;
  readonly #check: () => void;
  #messages: MessageChannel | undefined;
  #end = () => {};

  constructor(queue: (step: () => Promise<void>) => void, check: () => void) {
    this.#queue = queue;
    this.#check = check;
  }

  /** Ends this call's step and waits for its next one. Throws where nothing runs any more. */
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

  /** Ends this call's step. Another `next` may follow. */
  end(): void {
    this.#end();
    this.#messages?.port1.close();
    this.#messages = undefined;
  }

  /**
   * Resolves once the messages that came before this call were handled. On the CPU engine a step never leaves the
   * microtask queue, and a message that says "stop" would wait for the end of the answer. A timer would do, but browsers
   * round it up to 4 ms.
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
