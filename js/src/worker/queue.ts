/** Whose turn it is: one piece of work at a time, each client's in order, and those of several clients in turn. */

export type Work = () => Promise<void>;

export class FairQueue<Client> {
  /** What waits of each client; who is next stands first. */
  readonly #waiting = new Map<Client, Work[]>();
  #runs = false;

  /** `work` never rejects. Returns how to leave again, which gives false once the work has begun. */
  add(client: Client, work: Work): () => boolean {
    const waiting = this.#waiting.get(client) ?? [];
    this.#waiting.set(client, waiting);
    waiting.push(work);
    if (!this.#runs) void this.#run();
    return () => {
      const at = waiting.indexOf(work);
      return at >= 0 && waiting.splice(at, 1).length > 0;
    };
  }

  async #run(): Promise<void> {
    this.#runs = true;
    // A map goes on to what is added meanwhile, so that who had a turn comes after all others.
    for (const [client, waiting] of this.#waiting) {
      await waiting.shift()?.();
      this.#waiting.delete(client);
      if (waiting.length > 0) this.#waiting.set(client, waiting);
    }
    this.#runs = false;
  }
}
