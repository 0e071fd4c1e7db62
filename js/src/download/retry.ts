/** Decides how long to wait between attempts, and when to give up. */

import { WeftError } from '../common/errors.js';
import type { Transient } from './http.js';

/**
 * Fruitless attempts in a row before giving up. An address that never answered is more likely wrong
 * than down.
 */
const ATTEMPTS = 7;
export const ATTEMPTS_UNANSWERED = 4;

/** Milliseconds before the second attempt; doubles with each further one. */
const FIRST_WAIT = 300;

/**
 * Bytes after which the count of attempts restarts, so that a connection that always breaks after a
 * few bytes is given up. A slow connection brings this in half a minute at 1 KiB/s.
 */
const PROGRESS = 32 * 1024;

/** Longest wait in milliseconds that a server may ask for. */
const LONGEST_WAIT = 60_000;

export type Sleep = (milliseconds: number, signal: AbortSignal) => Promise<void>;

/** What waiting depends on. */
export interface Waiting {
  readonly sleep: Sleep;
  /** Shows a sentence to the user. */
  note(sentence: string): void;
}

/** The attempts of one connection. `answered`: whether the server is known to be there. */
export class Retry {
  readonly #waiting: Waiting;
  #failures = 0;
  #bytes = 0;
  #answered: boolean;

  constructor(waiting: Waiting, answered: boolean) {
    this.#waiting = waiting;
    this.#answered = answered;
  }

  /** Must be called when new bytes arrive. */
  progressed(bytes: number): void {
    this.#answered = true;
    this.#bytes += bytes;
    if (this.#bytes < PROGRESS) return;
    this.#bytes = 0;
    this.#failures = 0;
  }

  /** Waits before the next attempt. Errors: `NETWORK`, when there have been enough. */
  async pause(failure: Transient, signal: AbortSignal): Promise<void> {
    this.#answered ||= failure.answered;
    this.#failures += 1;
    const backOff = FIRST_WAIT * 2 ** (this.#failures - 1) * (0.75 + Math.random() / 2);
    const milliseconds = Math.max(backOff, failure.retryAfter ?? 0);
    const attempts = this.#answered ? ATTEMPTS : ATTEMPTS_UNANSWERED;
    if (this.#failures >= attempts || milliseconds > LONGEST_WAIT) {
      const tried = `(tried ${this.#failures === 1 ? 'once' : `${this.#failures} times`})`;
      throw new WeftError('NETWORK', `${failure.message} ${tried}`, { cause: failure });
    }
    // A single broken connection is not worth a note.
    if (this.#failures > 1) {
      const seconds = (milliseconds / 1000).toFixed(1);
      this.#waiting.note(`${failure.message} Trying again in ${seconds} s (${this.#failures + 1} of ${attempts}).`);
    }
    await this.#waiting.sleep(milliseconds, signal);
  }
}

export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    signal.addEventListener('abort', abort);
  });
}
