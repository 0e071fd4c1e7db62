/**
 * The chunks of a download between its connections, which receive them in any order, and its
 * reader, which takes them in order.
 */

import type { WeftError } from '../common/errors.js';
import { digestWherePossible } from '../store/digest.js';
import { CHUNK_BYTES } from '../store/manifest.js';

export interface ChunkOptions {
  /** Whether a chunk is there already. */
  has(index: number): boolean;
  /** Expected SHA-256 of a chunk, if it was there before. */
  hashOf(index: number): string | undefined;
  /** Called for bytes that were not received before. */
  received(bytes: number): void;
  /**
   * Called with each complete chunk before it is read. The connection continues when the promise
   * resolves. `hash`: null outside of secure contexts.
   */
  arrived(index: number, bytes: Uint8Array<ArrayBuffer>, hash: Promise<string | null>): Promise<void>;
}

export class Chunks {
  readonly #options: ChunkOptions;
  readonly #window: number;
  readonly #changedFile: () => WeftError;
  /** Received chunks that were not taken yet. */
  readonly #arrived = new Map<number, Uint8Array<ArrayBuffer>>();
  /** SHA-256 of all received chunks. */
  readonly #hashes = new Map<number, Promise<string | null>>();
  /** Bytes of each chunk that were reported. */
  readonly #counted = new Map<number, number>();
  /** Chunks that a connection is fetching or has fetched. */
  readonly #claimed = new Set<number>();
  /** The chunk that the reader is waiting for. */
  #cursor = 0;
  #waiting: (() => void)[] = [];

  /**
   * `window`: maximum number of chunks ahead of the reader. `changedFile` makes the error for a
   * chunk of another version.
   */
  constructor(options: ChunkOptions, window: number, changedFile: () => WeftError) {
    this.#options = options;
    this.#window = window;
    this.#changedFile = changedFile;
  }

  claimed(index: number): boolean {
    return this.#claimed.has(index);
  }

  /** Marks a chunk that a connection is about to fetch. */
  claim(index: number): void {
    this.#claimed.add(index);
  }

  /** Moves the reader, and with it the window. */
  advance(index: number): void {
    this.#cursor = index;
    this.notify();
  }

  hasRoom(index: number): boolean {
    return index < this.#cursor + this.#window;
  }

  /** Returns a received chunk, once. */
  take(index: number): Uint8Array<ArrayBuffer> | undefined {
    const bytes = this.#arrived.get(index);
    this.#arrived.delete(index);
    return bytes;
  }

  /**
   * Reports the bytes up to `position` of a chunk, each once even if another connection receives
   * them again.
   */
  count(index: number, position: number): void {
    const [before, now] = [this.#counted.get(index) ?? 0, position - index * CHUNK_BYTES];
    if (now <= before) return;
    this.#counted.set(index, now);
    this.#options.received(now - before);
  }

  /** Waits until there is room in the window for a chunk. */
  async room(index: number, signal: AbortSignal): Promise<void> {
    while (!this.hasRoom(index)) {
      await this.changed();
      signal.throwIfAborted();
    }
  }

  /**
   * Takes a received chunk. A chunk that was received or stored before must have the same hash;
   * without a hash, it must be `proven`.
   */
  async arrive(
    index: number,
    bytes: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
    proven: boolean = true,
  ): Promise<void> {
    const hash = digestWherePossible(bytes);
    const before = this.#hashes.get(index);
    const expected = this.#options.hashOf(index) ?? (await before);
    if (expected === null ? !proven : expected !== undefined && (await hash) !== expected) throw this.#changedFile();
    if (before || this.#options.has(index)) return;
    this.#hashes.set(index, hash);
    this.#claimed.add(index);
    this.#arrived.set(index, bytes);
    this.notify();
    await this.#options.arrived(index, bytes, hash);
    signal.throwIfAborted();
  }

  /** Wakes all that wait for {@link Chunks.changed}. */
  notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Waits for {@link Chunks.notify}. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
