/** Several answers at once, as their pieces come. */

/** Answers to one prompt. */
export type Group<T> = readonly (() => AsyncIterable<T>)[];

/**
 * The items of all answers as they come, each with the number of its answer. Of a group, the others
 * begin when the first has its first item: what it has computed of the prompt is theirs too. An
 * error ends all of them, and so does leaving the iteration.
 */
export async function* atOnce<T>(groups: readonly Group<T>[]): AsyncGenerator<readonly [answer: number, item: T]> {
  const begun: AsyncIterator<T>[] = [];
  /** What begins when an answer has its first item: the number of the next, and the answers. */
  const behind = new Map<number, Group<T>>();
  const arrived: (() => readonly [answer: number, result: IteratorResult<T>])[] = [];
  let wake = () => {};
  const pull = (answer: number) => {
    const come = (item: (typeof arrived)[number]) => {
      arrived.push(item);
      wake();
    };
    begun[answer]?.next().then(
      (result) => come(() => [answer, result]),
      (error: unknown) =>
        come(() => {
          throw error;
        }),
    );
  };
  const begin = (answer: number, start: () => AsyncIterable<T>) => {
    begun[answer] = start()[Symbol.asyncIterator]();
    pull(answer);
  };
  let left = 0;
  for (const [first, ...others] of groups) {
    if (first) {
      behind.set(left, others);
      begin(left, first);
    }
    left += others.length + (first ? 1 : 0);
  }
  try {
    while (left > 0) {
      const next = arrived.shift();
      if (!next) {
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      const [answer, { done, value }] = next();
      behind.get(answer)?.forEach((start, index) => begin(answer + 1 + index, start));
      behind.delete(answer);
      if (done) left -= 1;
      else {
        pull(answer);
        yield [answer, value];
      }
    }
  } finally {
    for (const iterator of begun) void iterator?.return?.();
  }
}
