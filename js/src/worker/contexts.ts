/** Which generations hold memory for their context. One that runs out of memory waits until another one has ended. */

export class Contexts {
  readonly #holders = new Set<object>();
  #waiting: (() => void)[] = [];

  hold(holder: object): void {
    this.#holders.add(holder);
  }

  /** Wakes nobody: two that are too large together would take the memory from each other for ever. */
  yield(holder: object): void {
    this.#holders.delete(holder);
  }

  end(holder: object): void {
    this.#holders.delete(holder);
    for (const wake of this.#waiting) wake();
    this.#waiting = [];
  }

  /** Resolves when one ends; undefined where nobody holds any memory. */
  next(): Promise<void> | undefined {
    if (this.#holders.size === 0) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
