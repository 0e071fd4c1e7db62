/**
 * The calls that hold memory between their steps. One that runs out of memory waits until another
 * has given back its own.
 */

export class Contexts {
  readonly #holders = new Set<object>();
  #waiting: (() => void)[] = [];
  /** Whether memory was given back that those who wait have not been told of. */
  #given = false;

  /** Whether a call holds memory now. */
  get busy(): boolean {
    return this.#holders.size > 0;
  }

  hold(holder: object): void {
    this.#holders.add(holder);
  }

  /**
   * Gives memory back in order to ask again. Wakes nobody: two generations that do not fit together
   * would take turns in running out of memory.
   */
  yield(holder: object): void {
    if (this.#holders.delete(holder)) this.#given = true;
  }

  /** Ends a call. Wakes those who wait, if memory was given back. */
  end(holder: object): void {
    this.yield(holder);
    if (!this.#given) return;
    this.#given = false;
    for (const wake of this.#waiting) wake();
    this.#waiting = [];
  }

  /** Resolves when memory was given back; undefined if nobody holds any. */
  next(): Promise<void> | undefined {
    if (this.#holders.size === 0) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
