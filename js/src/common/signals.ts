/** Helpers for abort signals. */

import type { Generation, Piece } from '../types/index.js';
import { WeftError } from './errors.js';

/**
 * Aborts with the first of several signals. (`AbortSignal.any` is newer than the supported
 * browsers.) `release` must be called at the end.
 */
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

/** Resolves like the promise, or rejects with the signal's reason as soon as it is aborted. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const over = new AbortController();
  try {
    const aborted = new Promise<never>((_, reject) => {
      const abort = () => reject(signal.reason);
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort, { signal: over.signal });
    });
    return await Promise.race([aborted, promise]);
  } finally {
    over.abort();
  }
}

/** Resolves or rejects like the promise, or resolves as soon as the signal is aborted. */
export async function orAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  await unlessAborted(promise, signal).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** Starts a generation. Rejects if the model cannot answer, or with the signal's reason. */
export async function begun({ started }: Generation, signal: AbortSignal | null | undefined): Promise<void> {
  await started;
  signal?.throwIfAborted();
}

/** Throws for the end of an aborted answer: the signal's reason. */
export function unlessEnded({ finish }: Piece, signal: AbortSignal | null | undefined): void {
  if (finish?.reason !== 'abort') return;
  signal?.throwIfAborted();
  throw new WeftError('DISPOSED', 'the model was disposed of; load it again');
}

/**
 * Iterates over the tokens of a generation and its end. An aborted answer fails with the signal's
 * reason.
 */
export async function* untilAborted(
  pieces: AsyncIterable<Piece>,
  signal: AbortSignal | null | undefined,
): AsyncGenerator<Piece> {
  for await (const piece of pieces) {
    unlessEnded(piece, signal);
    yield piece;
  }
}

/** Leaves an iteration as soon as the signal is aborted, even while the next item is awaited. */
export function leaving<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = items[Symbol.asyncIterator]();
      signal.addEventListener('abort', () => void iterator.return?.(), { once: true });
      return iterator;
    },
  };
}

/** Waits for the first item, so that an earlier failure rejects. */
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
 * Turns an iteration into a stream. Cancelling it calls `stop` at once, even while the next item is
 * awaited.
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
