/**
 * A running answer as the caller sees it: an iteration that can be repeated, and promises of the
 * whole.
 */

import { WeftError } from '../common/errors.js';
import type { Generation } from '../types/index.js';
import { Told } from './told.js';

interface Step {
  readonly text: string;
  readonly reasoning?: string;
  readonly endsReasoning?: true;
  readonly finish: unknown;
}

/**
 * Produces the pieces. `left` is aborted when the caller wants no more; the answer then ends soon,
 * like an aborted one. `started` must be called when the model has accepted the call.
 */
export type Source<P> = (left: AbortSignal, started: () => void) => AsyncIterable<P>;

export class Answering<P extends Step> implements Generation<P> {
  readonly #source: Source<P>;
  readonly #pieces: P[] = [];
  readonly #left = new AbortController();
  #iterator: AsyncIterator<P> | undefined;
  /** Resolves when the next piece has arrived. */
  #pulling: Promise<void> | undefined;
  #over = false;
  #failure: { readonly error: unknown } | undefined;
  /** Number of running iterations. */
  #readers = 0;
  #start = { resolve: () => {}, reject: (_: unknown) => {} };
  readonly #started: Promise<void>;
  #whole: Promise<readonly P[]> | undefined;

  constructor(source: Source<P>) {
    this.#source = source;
    this.#started = handled(new Promise((resolve, reject) => (this.#start = { resolve, reject })));
  }

  get started(): Promise<void> {
    if (!this.#iterator) void this.#pull();
    return this.#started;
  }

  get text(): Promise<string> {
    return this.#of((pieces) => told(pieces).text);
  }

  get reasoning(): Promise<string> {
    return this.#of((pieces) => told(pieces).reasoning);
  }

  get finish(): Promise<NonNullable<P['finish']>> {
    return this.#of((pieces) => {
      const finish = pieces.at(-1)?.finish;
      if (finish) return finish;
      throw new WeftError('DISPOSED', 'the answer was stopped before its end, by `break` or an error in the loop');
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<P, void, void> {
    let index = 0;
    let reads = true;
    this.#readers += 1;
    const leave = () => {
      if (reads) this.#readers -= 1;
      reads = false;
    };
    return {
      next: async () => {
        const piece = reads ? await this.#at(index++) : undefined;
        if (piece) return { done: false, value: piece };
        leave();
        return { done: true, value: undefined };
      },
      return: async () => {
        leave();
        if (this.#readers === 0 && !this.#whole) await this.#leave();
        return { done: true, value: undefined };
      },
    };
  }

  #of<T>(take: (pieces: readonly P[]) => T): Promise<T> {
    return handled((this.#whole ??= this.#all()).then(take));
  }

  async #all(): Promise<readonly P[]> {
    while (await this.#at(this.#pieces.length)) continue;
    return this.#pieces;
  }

  async #at(index: number): Promise<P | undefined> {
    while (index >= this.#pieces.length && !this.#over) await this.#pull();
    if (index >= this.#pieces.length && this.#failure) throw this.#failure.error;
    return this.#pieces[index];
  }

  /** Waits for one more piece or the end. */
  #pull(): Promise<void> {
    return (this.#pulling ??= this.#take().finally(() => (this.#pulling = undefined)));
  }

  async #take(): Promise<void> {
    try {
      this.#iterator ??= this.#source(this.#left.signal, this.#start.resolve)[Symbol.asyncIterator]();
      const { done, value } = await this.#iterator.next();
      if (done) this.#over = true;
      else this.#pieces.push(value);
      this.#start.resolve();
    } catch (error) {
      this.#over = true;
      this.#failure = { error };
      this.#start.reject(error);
    }
  }

  /** Stops the answer. Its pieces are kept for later iterations. */
  async #leave(): Promise<void> {
    this.#left.abort();
    if (this.#iterator) while (!this.#over) await this.#pull();
  }
}

const told = (pieces: readonly Step[]) => pieces.reduce((all, piece) => all.add(piece), new Told());

/** Prevents an unhandled rejection of a promise that is read but never awaited. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
