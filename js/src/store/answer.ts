/**
 * A browser's storage may never answer: a lost request of IndexedDB, a disk that hangs. Then it is
 * an error in time.
 */

import { within } from '../common/within.js';

/** Milliseconds after which a storage counts as one that does not answer. */
export const ANSWER_MS = 15_000;

export class NoAnswer extends Error {}

/** `what`: who should answer. Rejects with {@link NoAnswer}. */
export function answered<R>(waiting: Promise<R>, what: string, milliseconds: number = ANSWER_MS): Promise<R> {
  return within(waiting, milliseconds, () => new NoAnswer(`${what} does not answer`));
}
