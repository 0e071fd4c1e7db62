/**
 * Downloads the chunks of one file. Several connections fetch ahead of the reader, each a span of
 * neighbouring chunks. If the server sends whole files only, or does not tell the version of a
 * part, one connection reads the whole file.
 */

import { WeftError } from '../common/errors.js';
import { digestWherePossible } from '../store/digest.js';
import { CHUNK_BYTES } from '../store/manifest.js';
import { compareVersions, isProvable, type Version } from '../store/version.js';
import { isSameOrigin, NoSuchRange, request, Transient, type Answer, type Fetch, type Target } from './http.js';
import { PacedReader } from './pace.js';
import { ATTEMPTS_UNANSWERED, Retry, type Waiting } from './retry.js';

/** Parallel connections: more than one helps where the rate of each is limited. */
const CONNECTIONS = 3;

/** Chunks in the first request, and the minimum of any request. */
const SPAN = 4;

/** Target duration of a request in milliseconds, long enough to make its latency unimportant. */
const SPAN_MS = 500;

/** Maximum number of chunks in memory ahead of the reader. */
const WINDOW = CONNECTIONS * SPAN;

export interface DownloadOptions extends Waiting {
  readonly fetch: Fetch;
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

/** The server does not tell whether a response has the same version as the others. */
class Unproven extends Error {}

export class Download {
  readonly #target: Target;
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  /** Aborts the connections that fetch spans. */
  readonly #stopSpans = new AbortController();
  /** Received chunks that were not taken yet. */
  readonly #arrived = new Map<number, Uint8Array<ArrayBuffer>>();
  /** SHA-256 of all received chunks. */
  readonly #hashes = new Map<number, Promise<string | null>>();
  /** Bytes of each chunk that were reported. */
  readonly #counted = new Map<number, number>();
  /** Chunks that a connection is fetching or has fetched. */
  readonly #claimed = new Set<number>();
  /** First chunk that no connection has passed yet. */
  #next = 0;
  /** The chunk that the reader is waiting for. */
  #cursor = 0;
  #ranges = true;
  /** When {@link Download.probe} sent its request. */
  #probed = 0;
  #version: Version | undefined;
  #size: number | null = null;
  /** Whether one connection reads the whole file, see {@link Download.#fetchAll}. */
  #alone = false;
  #failure: { readonly error: unknown } | undefined;
  #waiting: (() => void)[] = [];

  constructor(target: Target, options: DownloadOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** Null until the last byte was received, if the server does not tell it before. */
  get size(): number | null {
    return this.#size;
  }

  /**
   * Whether this download fetches or has fetched the chunk. {@link Download.take} returns it once.
   */
  claimed(index: number): boolean {
    return this.#claimed.has(index);
  }

  /**
   * Sends the first request, which shows what the server supports. `known`: version of the chunks
   * that are there already.
   */
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
        // A request for the whole file has no range, so that this happens at most once.
        if (error instanceof NoSuchRange) this.#ranges = false;
        else if (error instanceof Transient) {
          await retry.pause(error, this.#stop.signal);
          // Some servers forbid range requests from other origins; some compress parts, which
          // browsers refuse. On the page's own origin a request for the whole file comes last:
          // there the network is the likelier cause, and part of the file may be stored.
          const last = attempt === ATTEMPTS_UNANSWERED - 1;
          if (!error.answered && !error.stalled)
            this.#ranges = isSameOrigin(this.#target.url) ? !last : attempt % 2 === 0;
        } else throw error;
      }
    }
  }

  /**
   * Continues with the response to {@link Download.probe}, or with a new one if that does not start
   * at a missing chunk.
   */
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

  /** Moves the reader, and with it the window that connections may fill. */
  advance(index: number): void {
    this.#cursor = index;
    this.#notify();
  }

  /** Waits for a chunk; null past the end. Errors: `NETWORK`, `FILE_CHANGED`. */
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
      // The chunk was there when the connections passed it, and has gone since.
      if (!this.#claimed.has(index) && index < this.#next) {
        this.#claimed.add(index);
        if (this.#alone) this.#fetchAlone();
        else this.#runSpans(this.#fetch(index, index + 1));
      }
      await this.#changed();
    }
  }

  /** Aborts all requests. */
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
          // the other connections were aborted on purpose
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

  /** The first span measures the rate, which sets the size of the next spans. */
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

  /**
   * Fetches the next missing chunks, at most `length`. Returns the length for the next request,
   * from the time since `start`.
   */
  async #fetchSpan(length: number, start: number, answer?: Answer): Promise<number> {
    const from = (this.#next = this.#missing(this.#next));
    const to = (this.#next = this.#spanFrom(from, length));
    for (let index = from; index < to; index += 1) this.#claimed.add(index);
    await this.#fetch(from, to, answer);
    const took = Math.max(1, performance.now() - start);
    return Math.max(SPAN, Math.round(((to - from) * SPAN_MS) / took));
  }

  /** The first missing chunk from `index` on. */
  #missing(index: number): number {
    while (this.#options.has(index)) index += 1;
    return index;
  }

  /** End of the span of missing chunks that starts at `from`. */
  #spanFrom(from: number, length: number): number {
    let to = from + 1;
    while (to < from + length && !this.#options.has(to)) to += 1;
    return to;
  }

  /** Fetches chunks `from` to `to`, reconnecting as often as needed. A partial chunk is kept. */
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

  /**
   * Reads the missing part of a span. Returns the position in the file where the body or the
   * reading ended.
   */
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
   * Reads the whole file over one connection, from a server that sends no parts, tells no version,
   * or tells another version each time. Each response has one version, and bytes that arrive twice
   * are compared. So after a broken connection the next response starts one chunk earlier, or at
   * the start of the file if it has another version.
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
   * Returns the position in the file where the body ended. `proven`: the response has the same
   * version as the bytes before.
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
          // a response without a length that is longer than the file has another version
          const goesOn = answer.end === null && isOver() && (rest.length > 0 || (await reader.read())?.length);
          if (goesOn) throw this.#fileChanged();
          await this.#arrive(index, chunk, signal, proven);
          reached.chunk = Math.max(reached.chunk, index);
          this.#next = Math.max(this.#next, index + 1);
        }
      }
      // a response shorter than the last one was cut off
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

  /**
   * Reports the bytes up to `position` of a chunk, each once even if another connection receives
   * them again.
   */
  #count(index: number, position: number): void {
    const [before, now] = [this.#counted.get(index) ?? 0, position - index * CHUNK_BYTES];
    if (now <= before) return;
    this.#counted.set(index, now);
    this.#options.received(now - before);
  }

  /** Waits before the next attempt. Throws if another attempt cannot help. */
  async #pause(error: unknown, retry: Retry, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // The file had these bytes before.
    if (error instanceof NoSuchRange) throw this.#fileChanged();
    if (!(error instanceof Transient)) throw error;
    await retry.pause(error, signal);
  }

  /** Errors: `FILE_CHANGED` if that is certain, else {@link Unproven}. */
  async #check(answer: Answer): Promise<void> {
    if (sizesDiffer(this.#version!, answer.version)) throw await this.#refuse(answer, this.#fileChanged());
    const identity = compareVersions(this.#version!, answer.version);
    if (identity !== 'same') throw await this.#refuse(answer, new Unproven(identity));
  }

  async #refuse(answer: Answer, error: Error): Promise<Error> {
    await answer.cancel();
    return error;
  }

  /** Waits until there is room in the window for a chunk. */
  async #room(index: number, signal: AbortSignal): Promise<void> {
    while (index >= this.#cursor + WINDOW) {
      await this.#changed();
      signal.throwIfAborted();
    }
  }

  /**
   * Takes a received chunk. A chunk that was received or stored before must have the same hash;
   * without a hash, it must be `proven`.
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

  /** `range`: bytes, end exclusive. */
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

/**
 * How far the whole file was read: the last complete chunk, and the position after the last byte.
 */
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

/** Assembles bytes in order into chunks. */
class Assembly {
  /** Position of the next byte in the file. */
  at: number;
  #chunk: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;

  /** `at`: the start of a chunk. */
  constructor(at: number) {
    this.at = at;
  }

  /**
   * Adds bytes to the current chunk and returns how many it took. The `size` of the file bounds its
   * last chunk.
   */
  add(bytes: Uint8Array, size: number | null): number {
    const length = Math.min(CHUNK_BYTES, (size ?? Infinity) - (this.at - this.#filled));
    this.#chunk ??= new Uint8Array(length);
    const part = bytes.subarray(0, length - this.#filled);
    this.#chunk.set(part, this.#filled);
    this.#filled += part.length;
    this.at += part.length;
    return part.length;
  }

  /** Returns the chunk once it is complete, and starts the next one. */
  finished(): Uint8Array<ArrayBuffer> | undefined {
    return this.#filled === this.#chunk?.length ? this.rest() : undefined;
  }

  /** Returns the incomplete chunk; undefined if it is empty. */
  rest(): Uint8Array<ArrayBuffer> | undefined {
    const chunk = this.#chunk;
    const rest = chunk && this.#filled < chunk.length ? chunk.slice(0, this.#filled) : chunk;
    this.#chunk = undefined;
    this.#filled = 0;
    return rest;
  }
}
