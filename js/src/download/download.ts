/**
 * The chunks of one file over the network: several connections fetch ahead of the reader, each a span of neighbouring chunks
 * that nobody has yet. Where a server sends whole files only, one connection reads it from the start.
 */

import { WeftError } from '../errors.js';
import { CHUNK_BYTES, sameVersion, type Version } from '../store/manifest.js';
import {
  inTime,
  isSameOrigin,
  messageOf,
  NoSuchRange,
  request,
  Transient,
  type Answer,
  type Fetch,
  type Target,
} from './http.js';
import { readPieces } from './memory.js';
import { ATTEMPTS_UNANSWERED, Retry, type Sleep } from './retry.js';

/** Connections at once: the second and third help where a server or the way there limits each. */
const CONNECTIONS = 3;

/** Chunks that the first request asks for, and the least that any does. */
const SPAN = 4;

/** Milliseconds that a request shall last: then the wait for an answer costs little. */
const SPAN_MS = 500;

/** Chunks ahead of the reader that may be in memory. */
const WINDOW = CONNECTIONS * SPAN;

export interface DownloadOptions {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  /** Whether a chunk needs no fetching. */
  has(index: number): boolean;
  /** Bytes came that had not come before. */
  received(bytes: number): void;
  /** A chunk is whole, and nobody has read it yet. The connection goes on when the promise is fulfilled. */
  arrived(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

export class Download {
  readonly #target: Target;
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  /** Chunks that came and were not taken yet. */
  readonly #arrived = new Map<number, Uint8Array<ArrayBuffer>>();
  /** Chunks that a connection fetches or has fetched. */
  readonly #claimed = new Set<number>();
  /** From here on no connection has looked for what is missing. */
  #next = 0;
  /** The chunk that the reader wants. */
  #cursor = 0;
  #ranges = true;
  /** When the request was sent that {@link Download.probe} answers. */
  #probed = 0;
  #version: Version | undefined;
  #size: number | null = null;
  #failure: { readonly error: unknown } | undefined;
  #waiting: (() => void)[] = [];

  constructor(target: Target, options: DownloadOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** Null until the last byte came, where the server does not tell. */
  get size(): number | null {
    return this.#size;
  }

  /** Whether the chunk comes, or came, by this download: {@link Download.take} then has it, and has it once. */
  claimed(index: number): boolean {
    return this.#claimed.has(index);
  }

  /** The first request, which shows what the server can do. `known` is of which file something is here already. */
  async probe(known: Version | undefined): Promise<Answer> {
    const from = this.#missing(0);
    const retry = new Retry(this.#options.sleep, false);
    this.#ranges = true;
    for (let attempt = 1; ; attempt += 1) {
      this.#probed = performance.now();
      try {
        return await this.#request(from * CHUNK_BYTES, this.#spanFrom(from, SPAN) * CHUNK_BYTES, known);
      } catch (error) {
        // A whole file has no bounds that could be wrong, so that this comes once.
        if (error instanceof NoSuchRange) this.#ranges = false;
        else if (error instanceof Transient) {
          await retry.pause(error, this.#stop.signal);
          // Some servers let pages of other origins read a file, and forbid them to ask for a part; some compress parts, which a browser
          // refuses. The page's own is asked for the whole file last: the network was more likely down, and the whole may be here in part.
          const last = attempt === ATTEMPTS_UNANSWERED - 1;
          if (!error.answered && !error.stalled)
            this.#ranges = isSameOrigin(this.#target.url) ? !last : attempt % 2 === 0;
        } else throw error;
      }
    }
  }

  /** Goes on from the answer to {@link Download.probe}, or to another one if it begins where a chunk is missing. */
  start(answer: Answer): void {
    this.#version = answer.version;
    this.#size = answer.version.size;
    this.#ranges = answer.partial;
    this.#run(this.#ranges ? this.#connections(answer) : this.#fetch(0, Infinity, answer));
  }

  /** The reader is here: connections may go on as far as the window reaches. */
  advance(index: number): void {
    this.#cursor = index;
    this.#notify();
  }

  /** Gives a chunk when it has come, null past the end. Errors: `NETWORK`, `FILE_CHANGED`. */
  async take(index: number): Promise<Uint8Array<ArrayBuffer> | null> {
    this.advance(index);
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      const bytes = this.#arrived.get(index);
      if (bytes) {
        this.#arrived.delete(index);
        return bytes;
      }
      if (this.#size !== null && index * CHUNK_BYTES >= this.#size) return null;
      // It was there when the connections passed it, and is missing now.
      if (!this.#claimed.has(index) && index < this.#next) {
        this.#claimed.add(index);
        this.#run(this.#fetch(index, index + 1));
      }
      await this.#changed();
    }
  }

  /** Ends all requests. */
  stop(): void {
    this.#stop.abort();
    this.#notify();
  }

  #run(connection: Promise<void>): void {
    connection.catch((error: unknown) => {
      this.#failure ??= { error };
      this.stop();
    });
  }

  /** The first span shows how fast it goes, and so what the others shall be. */
  async #connections(answer: Answer): Promise<void> {
    const length = await this.#fetchSpan(SPAN, this.#probed, answer);
    for (let count = 0; count < CONNECTIONS; count += 1) this.#run(this.#connection(length));
  }

  async #connection(length: number): Promise<void> {
    while ((this.#next = this.#missing(this.#next)) * CHUNK_BYTES < this.#size!) {
      if (this.#next < this.#cursor + WINDOW) length = await this.#fetchSpan(length, performance.now());
      else await this.#changed();
      this.#stop.signal.throwIfAborted();
    }
    this.#notify();
  }

  /** Fetches the next missing chunks, at most `length`; returns how many the next request should ask for, by the time since `start`. */
  async #fetchSpan(length: number, start: number, answer?: Answer): Promise<number> {
    const from = (this.#next = this.#missing(this.#next));
    const to = (this.#next = this.#spanFrom(from, length));
    for (let index = from; index < to; index += 1) this.#claimed.add(index);
    await this.#fetch(from, to, answer);
    const took = Math.max(1, performance.now() - start);
    return Math.max(SPAN, Math.round(((to - from) * SPAN_MS) / took));
  }

  /** The first chunk from `index` on that is not here. */
  #missing(index: number): number {
    while (this.#options.has(index)) index += 1;
    return index;
  }

  /** The end of the span of missing chunks that begins at `from`. */
  #spanFrom(from: number, length: number): number {
    let to = from + 1;
    while (to < from + length && !this.#options.has(to)) to += 1;
    return to;
  }

  /** Fetches chunks `from` to `to`, however often the connection breaks. A part of a chunk that came is kept. */
  async #fetch(from: number, to: number, answer?: Answer): Promise<void> {
    const retry = new Retry(this.#options.sleep, true);
    const span = new Span(from, to);
    for (;;) {
      try {
        const end = Math.min(to * CHUNK_BYTES, this.#size ?? Infinity);
        answer ??= await this.#request(span.at, end, this.#version);
        if (!sameVersion(this.#version!, answer.version)) {
          await answer.cancel();
          throw this.#fileChanged();
        }
        const position = await this.#read(answer, span, end, retry);
        if (span.at >= end || this.#size === null) return await this.#end(span, position);
        throw new Transient(`${this.#target.url} ended after ${position} bytes of ${this.#size}.`, { answered: true });
      } catch (error) {
        this.#stop.signal.throwIfAborted();
        // It had these bytes before.
        if (error instanceof NoSuchRange) throw this.#fileChanged();
        if (!(error instanceof Transient)) throw error;
        answer = undefined;
        await retry.pause(error, this.#stop.signal);
      }
    }
  }

  /** Reads what is missing of the span; returns where in the file the body ended, or reading did. */
  async #read(answer: Answer, span: Span, end: number, retry: Retry): Promise<number> {
    const reader = readPieces(answer.body);
    let position = answer.start;
    try {
      while (span.at < end) {
        const reading = reader.read().catch((cause: unknown) => {
          const message = `reading ${this.#target.url} broke off after ${position} bytes: ${messageOf(cause)}.`;
          throw new Transient(message, { answered: true, cause });
        });
        const what = `reading ${this.#target.url} broke off after ${position} bytes`;
        const value = await inTime(reading, this.#target.stallMs, what, () => {});
        if (!value) break;
        for (let used = 0; used < value.length && span.at < end;) {
          const index = Math.floor(span.at / CHUNK_BYTES);
          if (span.isWhole) {
            this.#next = index;
            if (!span.isInside && this.#options.has(index)) span.skip();
          }
          const ahead = Math.min(span.at - position, value.length - used);
          if (ahead > 0) {
            used += ahead;
            position += ahead;
            continue;
          }
          await this.#room(index);
          const copied = span.copy(value.subarray(used), this.#size);
          used += copied;
          position += copied;
          retry.progressed();
          this.#options.received(copied);
          const chunk = span.finished();
          if (chunk) await this.#arrive(index, chunk);
        }
      }
      return position;
    } finally {
      // What is left, nobody wants; a broken stream needs no cancelling, and tells nothing new.
      void reader.cancel().catch(() => undefined);
      answer.release();
    }
  }

  /** Everything of the span came, which is what shows the length of a stream that had none. */
  async #end(span: Span, position: number): Promise<void> {
    const index = Math.floor(span.at / CHUNK_BYTES);
    const rest = span.rest();
    if (rest) await this.#arrive(index, rest);
    this.#size ??= position;
    if (span.isWhole) this.#next = Infinity;
    this.#notify();
  }

  /** Waits until the reader has come so far that a chunk may be held in memory. */
  async #room(index: number): Promise<void> {
    while (index >= this.#cursor + WINDOW) {
      await this.#changed();
      this.#stop.signal.throwIfAborted();
    }
  }

  async #arrive(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#claimed.add(index);
    this.#arrived.set(index, bytes);
    this.#notify();
    await this.#options.arrived(index, bytes);
    this.#stop.signal.throwIfAborted();
  }

  #request(start: number, end: number, known: Version | undefined): Promise<Answer> {
    const range = this.#ranges ? ([start, end] as const) : null;
    return request(this.#options.fetch, this.#target, this.#stop.signal, range, known);
  }

  #fileChanged(): WeftError {
    const remedy = 'Load it again: nothing of the old file is used.';
    return new WeftError('FILE_CHANGED', `${this.#target.url} changed on the server while it was read. ${remedy}`);
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Chunks that one connection fetches one after the other, and the part of one that has come. */
class Span {
  /** Where in the file the next byte belongs. */
  at: number;
  /** Whether it is the whole of a file that comes in one piece. */
  readonly isWhole: boolean;
  #chunk: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;

  constructor(from: number, to: number) {
    this.at = from * CHUNK_BYTES;
    this.isWhole = to === Infinity;
  }

  /** Whether a part of the chunk has come. */
  get isInside(): boolean {
    return this.#chunk !== undefined;
  }

  skip(): void {
    this.at += CHUNK_BYTES;
  }

  /** Takes what belongs to the current chunk; returns how much that was. `size` of the file bounds its last chunk. */
  copy(bytes: Uint8Array, size: number | null): number {
    const length = Math.min(CHUNK_BYTES, (size ?? Infinity) - (this.at - this.#filled));
    this.#chunk ??= new Uint8Array(length);
    const part = bytes.subarray(0, length - this.#filled);
    this.#chunk.set(part, this.#filled);
    this.#filled += part.length;
    this.at += part.length;
    return part.length;
  }

  /** The chunk, once it is whole; the next one begins then. */
  finished(): Uint8Array<ArrayBuffer> | undefined {
    return this.#filled === this.#chunk?.length ? this.rest() : undefined;
  }

  /** What has come of the chunk; undefined where that is nothing. */
  rest(): Uint8Array<ArrayBuffer> | undefined {
    const chunk = this.#chunk;
    const rest = chunk && this.#filled < chunk.length ? chunk.slice(0, this.#filled) : chunk;
    this.#chunk = undefined;
    this.#filled = 0;
    return rest;
  }
}
