/**
 * Runs a limited number of tasks at once. Clients take turns; the tasks of a client run in order.
 */

export type Work = () => Promise<void>;

interface Line {
  readonly waiting: Work[];
  running: number;
}

export class FairQueue<Client> {
  readonly #capacity: number;
  readonly #ofOne: number;
  /** In order of service: the client that was served least recently is first. */
  readonly #lines = new Map<Client, Line>();
  #running = 0;

  /** At most `capacity` tasks run at once, at most `ofOne` of a client. */
  constructor(capacity: number, ofOne: number = capacity) {
    this.#capacity = capacity;
    this.#ofOne = ofOne;
  }

  /**
   * `work` must not reject. Returns a function that removes it again, which returns false if it has
   * started.
   */
  add(client: Client, work: Work): () => boolean {
    const line = this.#lines.get(client) ?? { waiting: [], running: 0 };
    this.#lines.set(client, line);
    line.waiting.push(work);
    this.#start();
    return () => {
      const at = line.waiting.indexOf(work);
      if (at < 0) return false;
      line.waiting.splice(at, 1);
      if (isEmpty(line)) this.#lines.delete(client);
      return true;
    };
  }

  /** Number of clients whose tasks run or wait. */
  get clients(): number {
    return this.#lines.size;
  }

  #start(): void {
    while (this.#running < this.#capacity) {
      const next = this.#next();
      if (!next) return;
      void this.#run(...next);
    }
  }

  /** The next task: of the waiting client with the fewest running tasks. */
  #next(): [Client, Line, Work] | undefined {
    let found: [Client, Line] | undefined;
    for (const [client, line] of this.#lines) {
      if (line.waiting.length === 0 || line.running >= this.#ofOne) continue;
      if (!found || line.running < found[1].running) found = [client, line];
    }
    const work = found?.[1].waiting.shift();
    return found && work && [...found, work];
  }

  async #run(client: Client, line: Line, work: Work): Promise<void> {
    this.#running += 1;
    line.running += 1;
    await work();
    this.#running -= 1;
    line.running -= 1;
    this.#lines.delete(client);
    if (!isEmpty(line)) this.#lines.set(client, line);
    this.#start();
  }
}

function isEmpty({ running, waiting }: Line): boolean {
  return running === 0 && waiting.length === 0;
}
