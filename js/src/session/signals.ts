/** Signals of several who may stop the same thing. */

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
