/** Time limits for promises that may never settle. */

/** Resolves like `waiting`, or rejects with the error of `late` after `milliseconds`. */
export async function within<T>(waiting: Promise<T>, milliseconds: number, late: () => Error): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), milliseconds);
  });
  try {
    return await Promise.race([waiting, over]);
  } finally {
    clearTimeout(timer);
  }
}
