/** Signals of those who may stop something. */

import { WeftError } from './errors.js';
import type { Piece } from './types.js';

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
