/**
 * Lets the worker handle messages. On the CPU engine `next` never leaves the microtask queue, and a message that says
 * "stop" would wait for the end of the answer. A timer would do, but browsers round it up to 4 ms.
 */
export class Turns {
  readonly #channel = new MessageChannel();

  /** Resolves once the messages that came before this call were handled. */
  next(): Promise<void> {
    const { port1, port2 } = this.#channel;
    return new Promise((resolve) => {
      port1.onmessage = () => {
        port1.onmessage = null; // a port that listens keeps Node alive
        resolve();
      };
      port2.postMessage(null);
    });
  }

  close(): void {
    this.#channel.port1.close();
  }
}
