/**
 * Reads the body of a response in pieces, from a connection that may stall or slow to a trickle.
 */

import { messageOf } from '../common/errors.js';
import { inTime, Transient, type Answer, type Target } from './http.js';
import { readPieces, type PieceReader } from './memory.js';

/** Minimum bytes in the time after which a silent connection counts as broken: 273 a second. */
const LEAST = 8 * 1024;

export class PacedReader {
  /** Positions of the last piece in the file: start and end. */
  start: number;
  position: number;
  readonly #reader: PieceReader;
  readonly #answer: Answer;
  readonly #target: Target;
  /** In the current interval: bytes received, and milliseconds of waiting. */
  #bytes = 0;
  #waited = 0;

  constructor(answer: Answer, target: Target) {
    this.#answer = answer;
    this.#target = target;
    this.#reader = readPieces(answer.body);
    this.start = this.position = answer.start;
  }

  /** Undefined at the end. A piece is valid until the next read. Errors: {@link Transient}. */
  async read(): Promise<Uint8Array | undefined> {
    const { url, stallMs } = this.#target;
    const what = `reading ${url} broke off after ${this.position} bytes`;
    const reading = this.#reader.read().catch((cause: unknown) => {
      throw new Transient(`${what}: ${messageOf(cause)}.`, { answered: true, cause });
    });
    const asked = performance.now();
    const piece = await inTime(reading, stallMs, what, () => {});
    if (!piece) return undefined;
    this.start = this.position;
    this.position += piece.length;
    this.#bytes += piece.length;
    this.#waited += performance.now() - asked;
    if (this.#waited >= stallMs) {
      if (this.#bytes < LEAST) {
        const seconds = Math.round(this.#waited / 1000);
        throw new Transient(`${what}: ${this.#bytes} bytes came in ${seconds} s.`, { answered: true, stalled: true });
      }
      this.#bytes = this.#waited = 0;
    }
    return piece;
  }

  /** Cancels the rest. Errors do not matter: a broken stream has already failed. */
  close(): void {
    void this.#reader.cancel().catch(() => undefined);
    this.#answer.release();
  }
}
