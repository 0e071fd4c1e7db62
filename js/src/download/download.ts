/**
 * Downloads the chunks of one file. Several connections fetch ahead of the reader, each a span of
 * neighbouring chunks. If the server sends whole files only, or does not tell the version of a
 * part, one connection reads the whole file.
 */

import { WeftError } from '../common/errors.js';
import { CHUNK_BYTES } from '../store/manifest.js';
import { compareVersions, isProvable, type Version } from '../store/version.js';
import { Assembly } from './assembly.js';
import { Chunks, type ChunkOptions } from './chunks.js';
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

export interface DownloadOptions extends Waiting, ChunkOptions {
  readonly fetch: Fetch;
}

/** The server does not tell whether a response has the same version as the others. */
class Unproven extends Error {}

export class Download {
  readonly #target: Target;
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  /** Aborts the connections that fetch spans. */
  readonly #stopSpans = new AbortController();
  readonly #chunks: Chunks;
  /** First chunk that no connection has passed yet. */
  #next = 0;
  #ranges = true;
  /** When {@link Download.probe} sent its request. */
  #probed = 0;
  #version: Version | undefined;
  #size: number | null = null;
  /** Whether one connection reads the whole file, see {@link Download.#fetchAll}. */
  #alone = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(target: Target, options: DownloadOptions) {
    this.#target = target;
    this.#options = options;
    this.#chunks = new Chunks(options, WINDOW, () => this.#fileChanged());
  }

  /** Null until the last byte was received, if the server does not tell it before. */
  get size(): number | null {
    return this.#size;
  }

  /**
   * Whether this download fetches or has fetched the chunk. {@link Download.take} returns it once.
   */
  claimed(index: number): boolean {
    return this.#chunks.claimed(index);
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
    this.#chunks.advance(index);
  }

  /** Waits for a chunk; null past the end. Errors: `NETWORK`, `FILE_CHANGED`. */
  async take(index: number): Promise<Uint8Array<ArrayBuffer> | null> {
    this.advance(index);
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      const bytes = this.#chunks.take(index);
      if (bytes) return bytes;
      if (this.#size !== null && index * CHUNK_BYTES >= this.#size) return null;
      // The chunk was there when the connections passed it, and has gone since.
      if (!this.#chunks.claimed(index) && index < this.#next) {
        this.#chunks.claim(index);
        if (this.#alone) this.#fetchAlone();
        else this.#runSpans(this.#fetch(index, index + 1));
      }
      await this.#chunks.changed();
    }
  }

  /** Aborts all requests. */
  stop(): void {
    this.#stop.abort();
    this.#stopSpans.abort();
    this.#chunks.notify();
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
      if (this.#chunks.hasRoom(this.#next)) length = await this.#fetchSpan(length, performance.now());
      else await this.#chunks.changed();
      this.#stopSpans.signal.throwIfAborted();
    }
    this.#chunks.notify();
  }

  /**
   * Fetches the next missing chunks, at most `length`. Returns the length for the next request,
   * from the time since `start`.
   */
  async #fetchSpan(length: number, start: number, answer?: Answer): Promise<number> {
    const from = (this.#next = this.#missing(this.#next));
    const to = (this.#next = this.#spanFrom(from, length));
    for (let index = from; index < to; index += 1) this.#chunks.claim(index);
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
    const assembly = new Assembly(from * CHUNK_BYTES);
    const end = Math.min(to * CHUNK_BYTES, this.#size!);
    for (;;) {
      try {
        answer ??= await this.#request([assembly.at, end], this.#version, signal);
        await this.#check(answer);
        const position = await this.#read(answer, end, assembly, retry, signal);
        if (assembly.at >= end) return this.#chunks.notify();
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
  async #read(answer: Answer, end: number, assembly: Assembly, retry: Retry, signal: AbortSignal): Promise<number> {
    const reader = new PacedReader(answer, this.#target);
    try {
      for (let piece = await reader.read(); piece && assembly.at < end; piece = await reader.read()) {
        let rest = piece.subarray(Math.max(0, Math.min(assembly.at - reader.start, piece.length)));
        while (rest.length > 0 && assembly.at < end) {
          const index = Math.floor(assembly.at / CHUNK_BYTES);
          await this.#chunks.room(index, signal);
          const copied = assembly.add(rest, this.#size);
          rest = rest.subarray(copied);
          retry.progressed(copied);
          this.#chunks.count(index, assembly.at);
          const chunk = assembly.finished();
          if (chunk) await this.#chunks.arrive(index, chunk, signal);
        }
        if (assembly.at >= end) break;
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
        return this.#chunks.notify();
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
    const assembly = new Assembly(answer.start);
    const reader = new PacedReader(answer, this.#target);
    const isOver = () => this.#size !== null && assembly.at >= this.#size;
    try {
      for (let piece = await reader.read(); piece && !isOver(); piece = await reader.read()) {
        for (let rest = piece; rest.length > 0 && !isOver();) {
          const index = Math.floor(assembly.at / CHUNK_BYTES);
          await this.#chunks.room(index, signal);
          const copied = assembly.add(rest, this.#size);
          rest = rest.subarray(copied);
          const fresh = Math.max(0, assembly.at - Math.max(reached.byte, assembly.at - copied));
          reached.byte += fresh;
          retry.progressed(fresh);
          if (!this.#options.has(index)) this.#chunks.count(index, assembly.at);
          const chunk = assembly.finished();
          if (!chunk) continue;
          // a response without a length that is longer than the file has another version
          const goesOn = answer.end === null && isOver() && (rest.length > 0 || (await reader.read())?.length);
          if (goesOn) throw this.#fileChanged();
          await this.#chunks.arrive(index, chunk, signal, proven);
          reached.chunk = Math.max(reached.chunk, index);
          this.#next = Math.max(this.#next, index + 1);
        }
      }
      // a response shorter than the last one was cut off
      if (this.#size === null && assembly.at < reached.byte) {
        throw endedEarly(this.#target.url, assembly.at, reached.byte);
      }
      const rest = this.#size === null ? assembly.rest() : undefined;
      if (rest) await this.#chunks.arrive(Math.floor((assembly.at - 1) / CHUNK_BYTES), rest, signal, proven);
      return assembly.at;
    } finally {
      reader.close();
    }
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

  /** `range`: bytes, end exclusive. */
  #request(range: readonly [number, number] | null, known: Version | undefined, signal: AbortSignal): Promise<Answer> {
    return request(this.#options.fetch, this.#target, signal, range, known);
  }

  #fileChanged(): WeftError {
    const remedy = 'Load it again: nothing of the old file is used.';
    return new WeftError('FILE_CHANGED', `${this.#target.url} changed on the server while it was read. ${remedy}`);
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
