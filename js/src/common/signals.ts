/** Signals of those who may stop something. */

import type { Generation, Piece } from '../types/index.js';
import { WeftError } from './errors.js';

/** Aborts with the first of them. `AbortSignal.any` is younger than the browsers that weft runs in. `release`: to be called when it is over. */
export function anyOf(...signals: readonly (AbortSignal | undefined)[]): {
  readonly signal: AbortSignal;
  release(): void;
} {
  const controller = new AbortController();
  const over = new AbortController();
  for (const signal of signals) {
    if (signal?.aborted) controller.abort(signal.reason);
    signal?.addEventListener('abort', () => controller.abort(signal.reason), { signal: over.signal });
  }
  return { signal: controller.signal, release: () => over.abort() };
}

/** What a promise gives, or the signal's reason as soon as it is aborted. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const over = new AbortController();
  try {
    signal.throwIfAborted();
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { signal: over.signal });
    });
    return await Promise.race([promise, aborted]);
  } finally {
    over.abort();
  }
}

/** Undefined, once the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

/** Begins a generation. Rejects where the model cannot answer, or with the signal's reason. */
export async function begun({ started }: Generation, signal: AbortSignal | null | undefined): Promise<void> {
  await started;
  signal?.throwIfAborted();
}

/** The tokens of a generation, then its end. An answer that was aborted fails with the signal's reason. */
export async function* untilAborted(
  pieces: AsyncIterable<Piece>,
  signal: AbortSignal | null | undefined,
): AsyncGenerator<Piece> {
  for await (const piece of pieces) {
    if (piece.finish?.reason === 'abort') {
      signal?.throwIfAborted();
      throw new WeftError('DISPOSED', 'the model was disposed of; load it again');
    }
    yield piece;
  }
}

/** Leaves an iteration once the signal is aborted, also while the next item is awaited. */
export function leaving<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = items[Symbol.asyncIterator]();
      signal.addEventListener('abort', () => void iterator.return?.(), { once: true });
      return iterator;
    },
  };
}

/** Waits for the first item, so that whoever fails before it rejects. */
export async function beginning<T>(items: AsyncGenerator<T>): Promise<AsyncGenerator<T>> {
  const first = await items.next();
  return (async function* () {
    if (first.done) return;
    try {
      yield first.value;
      yield* items;
    } finally {
      await items.return(undefined);
    }
  })();
}

/**
 * What is iterated, as a stream. Whoever cancels it calls `stop` at once, also while the next part
 * is awaited.
 */
export function streamOf<Part>(parts: AsyncGenerator<Part>, stop: () => void): ReadableStream<Part> {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      stop();
      await parts.return(undefined);
    },
  });
}
