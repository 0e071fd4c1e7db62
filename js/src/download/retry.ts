/** How long to wait before trying again, and when to give up. */

import { WeftError } from '../common/errors.js';
import type { Transient } from './http.js';

/** Attempts in a row that bring nothing. An address that never answered is more likely wrong than down. */
const ATTEMPTS = 7;
export const ATTEMPTS_UNANSWERED = 4;

/** Milliseconds before the second attempt; each further one waits twice as long. */
const FIRST_WAIT = 300;

/**
 * Bytes after which attempts count anew: a connection that breaks after a few bytes each time would
 * else be tried for ever. What a slow connection brings in half a minute at 1 KiB/s.
 */
const PROGRESS = 32 * 1024;

/** A server that asks for more is not waited for. */
const LONGEST_WAIT = 60_000;

export type Sleep = (milliseconds: number, signal: AbortSignal) => Promise<void>;

/** What waiting needs of its surroundings. */
export interface Waiting {
  readonly sleep: Sleep;
  /** Tells the user a sentence. */
  note(sentence: string): void;
}

/** Of one connection. `answered`: whether the server is known to be there. */
export class Retry {
  readonly #waiting: Waiting;
  #failures = 0;
  #bytes = 0;
  #answered: boolean;

  constructor(waiting: Waiting, answered: boolean) {
    this.#waiting = waiting;
    this.#answered = answered;
  }

  /** So many bytes came that had not come before. */
  progressed(bytes: number): void {
    this.#answered = true;
    this.#bytes += bytes;
    if (this.#bytes < PROGRESS) return;
    this.#bytes = 0;
    this.#failures = 0;
  }

  /** Returns when it is time to try again. Errors: `NETWORK`, when it is time to give up. */
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
    // A connection that breaks once is nothing to tell of.
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
