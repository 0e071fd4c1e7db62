/**
 * The generations that hold memory for their context. One that runs out of memory waits until
 * another ends.
 */

export class Contexts {
  readonly #holders = new Set<object>();
  #waiting: (() => void)[] = [];

  hold(holder: object): void {
    this.#holders.add(holder);
  }

  /**
   * Wakes nobody: two generations that do not fit together would take turns in running out of
   * memory.
   */
  yield(holder: object): void {
    this.#holders.delete(holder);
  }

  end(holder: object): void {
    this.#holders.delete(holder);
    for (const wake of this.#waiting) wake();
    this.#waiting = [];
  }

  /** Resolves when a generation ends; undefined if none holds memory. */
  next(): Promise<void> | undefined {
    if (this.#holders.size === 0) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
