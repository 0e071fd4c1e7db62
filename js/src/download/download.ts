/**
 * The chunks of one file over the network: several connections fetch ahead of the reader, each a
 * span of neighbouring chunks that nobody has yet. Where a server sends whole files only, or does
 * not tell of which version a part is, one connection reads all of it.
 */

import { WeftError } from '../common/errors.js';
import { digestWherePossible } from '../store/digest.js';
import { CHUNK_BYTES } from '../store/manifest.js';
import { compareVersions, isProvable, type Version } from '../store/version.js';
import { isSameOrigin, NoSuchRange, request, Transient, type Answer, type Fetch, type Target } from './http.js';
import { PacedReader } from './pace.js';
import { ATTEMPTS_UNANSWERED, Retry, type Waiting } from './retry.js';

/** Connections at once: the second and third help where a server or the way there limits each. */
const CONNECTIONS = 3;

/** Chunks that the first request asks for, and the least that any does. */
const SPAN = 4;

/** Milliseconds that a request shall last: then the wait for an answer costs little. */
const SPAN_MS = 500;

/** Chunks ahead of the reader that may be in memory. */
const WINDOW = CONNECTIONS * SPAN;

export interface DownloadOptions extends Waiting {
  readonly fetch: Fetch;
  /** Whether a chunk needs no fetching. */
  has(index: number): boolean;
  /** The SHA-256 that a chunk must have, where it was there before. */
  hashOf(index: number): string | undefined;
  /** Bytes came that had not come before. */
  received(bytes: number): void;
  /**
   * A chunk is whole, and nobody has read it yet. The connection goes on when the promise is
   * fulfilled. `hash`: null outside of secure contexts.
   */
  arrived(index: number, bytes: Uint8Array<ArrayBuffer>, hash: Promise<string | null>): Promise<void>;
}

/** A server does not say whether an answer is of the version that the others are of. */
class Unproven extends Error {}

export class Download {
  readonly #target: Target;
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  /** Ends the connections that fetch spans. */
  readonly #stopSpans = new AbortController();
  /** Chunks that came and were not taken yet. */
  readonly #arrived = new Map<number, Uint8Array<ArrayBuffer>>();
  /** SHA-256 of all chunks that came. */
  readonly #hashes = new Map<number, Promise<string | null>>();
  /** How many bytes of each chunk were told of. */
  readonly #counted = new Map<number, number>();
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
  /** Whether one connection reads all of the file, see {@link Download.#fetchAll}. */
  #alone = false;
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
    const retry = new Retry(this.#options, false);
    this.#ranges = true;
    for (let attempt = 1; ; attempt += 1) {
      this.#probed = performance.now();
      try {
        const range = [from * CHUNK_BYTES, this.#spanFrom(from, SPAN) * CHUNK_BYTES] as const;
        return await this.#request(this.#ranges ? range : null, known, this.#stop.signal);
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
    if (!answer.partial) this.#fetchAlone(answer);
    else if (isProvable(answer.version)) this.#runSpans(this.#connections(answer));
    else {
      void answer.cancel();
      this.#fetchAlone();
    }
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
        if (this.#alone) this.#fetchAlone();
        else this.#runSpans(this.#fetch(index, index + 1));
      }
      await this.#changed();
    }
  }

  /** Ends all requests. */
  stop(): void {
    this.#stop.abort();
    this.#stopSpans.abort();
    this.#notify();
  }

  #run(connection: Promise<void>): void {
    connection.catch((error: unknown) => {
      this.#failure ??= { error };
      this.stop();
    });
  }

  #runSpans(connection: Promise<void>): void {
    this.#run(
      connection.catch((error: unknown) => {
        if (!(error instanceof Unproven)) {
          // the others were ended for the one that goes on alone
          if (this.#alone) return;
          throw error;
        }
        if (!this.#alone) this.#fetchAlone();
      }),
    );
  }

  #fetchAlone(answer?: Answer): void {
    this.#alone = true;
    this.#stopSpans.abort();
    this.#run(this.#fetchAll(answer));
  }

  /** The first span shows how fast it goes, and so what the others shall be. */
  async #connections(answer: Answer): Promise<void> {
    const length = await this.#fetchSpan(SPAN, this.#probed, answer);
    for (let count = 0; count < CONNECTIONS; count += 1) this.#runSpans(this.#connection(length));
  }

  async #connection(length: number): Promise<void> {
    while ((this.#next = this.#missing(this.#next)) * CHUNK_BYTES < this.#size!) {
      if (this.#next < this.#cursor + WINDOW) length = await this.#fetchSpan(length, performance.now());
      else await this.#changed();
      this.#stopSpans.signal.throwIfAborted();
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
    const { signal } = this.#stopSpans;
    const retry = new Retry(this.#options, true);
    const chunks = new Assembly(from * CHUNK_BYTES);
    const end = Math.min(to * CHUNK_BYTES, this.#size!);
    for (;;) {
      try {
        answer ??= await this.#request([chunks.at, end], this.#version, signal);
        await this.#check(answer);
        const position = await this.#read(answer, end, chunks, retry, signal);
        if (chunks.at >= end) return this.#notify();
        throw endedEarly(this.#target.url, position, this.#size);
      } catch (error) {
        await this.#pause(error, retry, signal);
        answer = undefined;
      }
    }
  }

  /** Reads what is missing of a span; returns where in the file the body ended, or reading did. */
  async #read(answer: Answer, end: number, chunks: Assembly, retry: Retry, signal: AbortSignal): Promise<number> {
    const reader = new PacedReader(answer, this.#target);
    try {
      for (let piece = await reader.read(); piece && chunks.at < end; piece = await reader.read()) {
        let rest = piece.subarray(Math.max(0, Math.min(chunks.at - reader.start, piece.length)));
        while (rest.length > 0 && chunks.at < end) {
          const index = Math.floor(chunks.at / CHUNK_BYTES);
          await this.#room(index, signal);
          const copied = chunks.add(rest, this.#size);
          rest = rest.subarray(copied);
          retry.progressed(copied);
          this.#count(index, chunks.at);
          const chunk = chunks.finished();
          if (chunk) await this.#arrive(index, chunk, signal);
        }
        if (chunks.at >= end) break;
      }
      return reader.position;
    } finally {
      reader.close();
    }
  }

  /**
   * Reads all of the file over one connection: of a server that sends no parts, that does not tell
   * of which version a part is, or that tells of another version each time. An answer is of one
   * version; what comes twice is compared. So where the connection broke, the next answer begins a
   * chunk before that, or, where it is told to be of another version, with the file.
   */
  async #fetchAll(answer?: Answer): Promise<void> {
    const { signal } = this.#stop;
    const retry = new Retry(this.#options, true);
    const reached: Reached = { chunk: 0, byte: 0 };
    let from = 0;
    for (;;) {
      try {
        answer ??= await this.#request(from > 0 ? [from, this.#size!] : null, undefined, signal);
        if (sizesDiffer(this.#version!, answer.version)) throw await this.#refuse(answer, this.#fileChanged());
        const identity = compareVersions(this.#version!, answer.version);
        if (identity === 'different' && answer.start > 0) {
          from = 0;
          answer = void (await answer.cancel());
          continue;
        }
        this.#version = answer.version;
        this.#size ??= answer.version.size;
        const end = await this.#readAll(answer, identity === 'same', reached, retry);
        if (this.#size !== null && end < this.#size) throw endedEarly(this.#target.url, end, this.#size);
        this.#size ??= end;
        this.#next = Infinity;
        return this.#notify();
      } catch (error) {
        await this.#pause(error, retry, signal);
        answer = undefined;
        from = this.#ranges && this.#size !== null ? reached.chunk * CHUNK_BYTES : 0;
      }
    }
  }

  /**
   * Returns where in the file the body ended. `proven`: whether it is told to be of the version
   * that came before.
   */
  async #readAll(answer: Answer, proven: boolean, reached: Reached, retry: Retry): Promise<number> {
    const { signal } = this.#stop;
    const chunks = new Assembly(answer.start);
    const reader = new PacedReader(answer, this.#target);
    const isOver = () => this.#size !== null && chunks.at >= this.#size;
    try {
      for (let piece = await reader.read(); piece && !isOver(); piece = await reader.read()) {
        for (let rest = piece; rest.length > 0 && !isOver();) {
          const index = Math.floor(chunks.at / CHUNK_BYTES);
          await this.#room(index, signal);
          const copied = chunks.add(rest, this.#size);
          rest = rest.subarray(copied);
          const fresh = Math.max(0, chunks.at - Math.max(reached.byte, chunks.at - copied));
          reached.byte += fresh;
          retry.progressed(fresh);
          if (!this.#options.has(index)) this.#count(index, chunks.at);
          const chunk = chunks.finished();
          if (!chunk) continue;
          // of an answer that does not tell its length, more than the file has is of another one
          const goesOn = answer.end === null && isOver() && (rest.length > 0 || (await reader.read())?.length);
          if (goesOn) throw this.#fileChanged();
          await this.#arrive(index, chunk, signal, proven);
          reached.chunk = Math.max(reached.chunk, index);
          this.#next = Math.max(this.#next, index + 1);
        }
      }
      // what ends before the last answer did was cut short
      if (this.#size === null && chunks.at < reached.byte) {
        throw endedEarly(this.#target.url, chunks.at, reached.byte);
      }
      const rest = this.#size === null ? chunks.rest() : undefined;
      if (rest) await this.#arrive(Math.floor((chunks.at - 1) / CHUNK_BYTES), rest, signal, proven);
      return chunks.at;
    } finally {
      reader.close();
    }
  }

  /** Tells of bytes up to `position` in a chunk, each once: another connection may bring them again. */
  #count(index: number, position: number): void {
    const [before, now] = [this.#counted.get(index) ?? 0, position - index * CHUNK_BYTES];
    if (now <= before) return;
    this.#counted.set(index, now);
    this.#options.received(now - before);
  }

  /** Returns when it is time to try again. Throws what will not change by that. */
  async #pause(error: unknown, retry: Retry, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // It had these bytes before.
    if (error instanceof NoSuchRange) throw this.#fileChanged();
    if (!(error instanceof Transient)) throw error;
    await retry.pause(error, signal);
  }

  /** Errors: `FILE_CHANGED` where it is certain, else {@link Unproven}. */
  async #check(answer: Answer): Promise<void> {
    if (sizesDiffer(this.#version!, answer.version)) throw await this.#refuse(answer, this.#fileChanged());
    const identity = compareVersions(this.#version!, answer.version);
    if (identity !== 'same') throw await this.#refuse(answer, new Unproven(identity));
  }

  async #refuse(answer: Answer, error: Error): Promise<Error> {
    await answer.cancel();
    return error;
  }

  /** Waits until the reader has come so far that a chunk may be held in memory. */
  async #room(index: number, signal: AbortSignal): Promise<void> {
    while (index >= this.#cursor + WINDOW) {
      await this.#changed();
      signal.throwIfAborted();
    }
  }

  /**
   * A chunk came. One that came before, or was there before, must be the same; where that cannot be
   * computed, it must be `proven`.
   */
  async #arrive(
    index: number,
    bytes: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
    proven: boolean = true,
  ): Promise<void> {
    const hash = digestWherePossible(bytes);
    const before = this.#hashes.get(index);
    const expected = this.#options.hashOf(index) ?? (await before);
    if (expected === null ? !proven : expected !== undefined && (await hash) !== expected) throw this.#fileChanged();
    if (before || this.#options.has(index)) return;
    this.#hashes.set(index, hash);
    this.#claimed.add(index);
    this.#arrived.set(index, bytes);
    this.#notify();
    await this.#options.arrived(index, bytes, hash);
    signal.throwIfAborted();
  }

  /** `range`: bytes, the end excluded. */
  #request(range: readonly [number, number] | null, known: Version | undefined, signal: AbortSignal): Promise<Answer> {
    return request(this.#options.fetch, this.#target, signal, range, known);
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

/** How far all of a file was read: the last chunk that came whole, and the byte behind the last. */
interface Reached {
  chunk: number;
  byte: number;
}

function sizesDiffer(a: Version, b: Version): boolean {
  return a.size !== null && b.size !== null && a.size !== b.size;
}

function endedEarly(url: string, position: number, size: number | null): Transient {
  return new Transient(`${url} ended after ${position} bytes of ${size}.`, { answered: true });
}

/** Makes chunks of what comes in order. */
class Assembly {
  /** Where in the file the next byte belongs. */
  at: number;
  #chunk: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;

  /** `at`: where a chunk begins. */
  constructor(at: number) {
    this.at = at;
  }

  /** Takes what belongs to the current chunk; returns how much that was. `size` of the file bounds its last chunk. */
  add(bytes: Uint8Array, size: number | null): number {
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
