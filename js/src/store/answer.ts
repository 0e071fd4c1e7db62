/**
 * A browser's storage may never answer, after a lost request of IndexedDB or on a hanging disk.
 * Here that becomes an error in time.
 */

import { within } from '../common/within.js';

/** Milliseconds after which a storage counts as not answering. */
export const ANSWER_MS = 15_000;

export class NoAnswer extends Error {}

/** Waits at most `milliseconds` for `what`. Rejects with {@link NoAnswer}. */
export function answered<R>(waiting: Promise<R>, what: string, milliseconds: number = ANSWER_MS): Promise<R> {
  return within(waiting, milliseconds, () => new NoAnswer(`${what} does not answer`));
}
