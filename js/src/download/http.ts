/** A request for a file or a part of it, and the meaning of its response. */

import { messageOf, WeftError } from '../common/errors.js';
import { watchViolations } from '../common/violations.js';
import { within } from '../common/within.js';
import { isStrong, type Version } from '../store/version.js';
import { reasonFor, remedyFor, type Asked } from './refusals.js';

export type Fetch = (address: string, init: RequestInit) => Promise<Response>;

/** An error that another attempt may not meet. */
export class Transient extends Error {
  /** Whether the server answered. */
  readonly answered: boolean;
  /** Whether nothing was received for too long. */
  readonly stalled: boolean;
  /** Milliseconds that the server asked to wait, if it did. */
  readonly retryAfter: number | null;

  constructor(
    message: string,
    about: { answered?: boolean; stalled?: boolean; retryAfter?: number | null; cause?: unknown },
  ) {
    super(message, { cause: about.cause });
    this.answered = about.answered ?? false;
    this.stalled = about.stalled ?? false;
    this.retryAfter = about.retryAfter ?? null;
  }
}

/**
 * Returns the result of `waiting`, unless it takes longer than `milliseconds`; then calls `stalled`
 * and throws {@link Transient}. A connection can be dead without either end being told, after a
 * change of network for example.
 */
export function inTime<T>(waiting: Promise<T>, milliseconds: number, what: string, stalled: () => void): Promise<T> {
  return within(waiting, milliseconds, () => {
    // after this error, or its own would hide it
    queueMicrotask(stalled);
    return new Transient(`${what}: nothing came for ${milliseconds / 1000} s.`, { stalled: true });
  });
}

/** The server does not have this file. */
export class Missing extends WeftError {}

/**
 * The server does not send the requested range: the file is shorter than before, or ranges are not
 * supported.
 */
export class NoSuchRange extends Error {}

export interface Answer {
  readonly body: ReadableStream<Uint8Array>;
  /** Position in the file where the body starts. */
  readonly start: number;
  /** Position where the body ends; null if unknown. */
  readonly end: number | null;
  /** Whether the body is the requested part; false if it is the whole file. */
  readonly partial: boolean;
  readonly version: Version;
  /** Hash of the whole file, if the server tells it. */
  readonly sha256: string | null;
  /** Must be called when the body was read; the signal then no longer aborts it. */
  release(): void;
  /** Ends the request before anything was read. */
  cancel(): Promise<void>;
}

export interface Target extends Asked {
  /** Whether the browser's HTTP cache may be used. Files in weft's store need not be there too. */
  readonly useCache: boolean;
  /** Milliseconds without data after which a connection counts as broken. */
  readonly stallMs: number;
}

/**
 * `range`: first byte, and the one after the last. `known`: expected version of the part; if the
 * file has another version, a server that supports it sends the whole file.
 */
export async function request(
  fetch: Fetch,
  target: Target,
  signal: AbortSignal,
  range: readonly [number, number] | null,
  known: Version | undefined,
): Promise<Answer> {
  const { url, headers, useCache, stallMs } = target;
  const wanted: Record<string, string> = { ...headers };
  if (range) wanted['Range'] = `bytes=${range[0]}-${range[1] - 1}`;
  const validator = known && (isStrong(known.etag) ? known.etag : known.lastModified);
  // Across origins the header needs the server's permission; there, the response's headers are
  // compared.
  if (range && validator && isSameOrigin(url)) wanted['If-Range'] = validator;

  // Aborts this request only.
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', abort);
  const release = () => signal.removeEventListener('abort', abort);
  const violations = watchViolations();
  let response: Response;
  try {
    const cache = useCache ? 'default' : 'no-store';
    const answer = fetch(url, { headers: wanted, signal: controller.signal, cache });
    response = await inTime(answer, stallMs, `waiting for ${url}`, () => controller.abort());
  } catch (cause) {
    release();
    signal.throwIfAborted();
    if (cause instanceof Transient) throw cause;
    const { reason, certain } = await reasonFor(target, violations.found);
    const message = `cannot fetch ${url}: ${messageOf(cause)}. ${reason}`;
    throw certain ? new WeftError('NETWORK', message, { cause }) : new Transient(message, { cause });
  } finally {
    violations.end();
  }
  const { status, body } = response;
  const cancel = async () => {
    release();
    await body?.cancel().catch(() => undefined);
  };
  const giveUp = async (error: Error): Promise<never> => {
    // The body of an error page is not read.
    await cancel();
    throw error;
  };
  const part = status === 206 ? contentRange(response.headers.get('content-range')) : undefined;
  const encoded = response.headers.has('content-encoding');
  if (range && (status === 416 || (status === 206 && (encoded || part?.start !== range[0])))) {
    return giveUp(new NoSuchRange(`${url} has no bytes ${range[0]} to ${range[1]}`));
  }
  if (!range && status === 206 && !(part?.start === 0 && part.end === part.total)) {
    const message = `cannot fetch ${url}: the server answered 206 with a part, and all of the file was asked for.`;
    return giveUp(new Transient(message, { answered: true }));
  }
  // some browsers return an empty body for a response without one
  if (!response.ok || !body || status === 204 || status === 205) {
    // HTTP/2 has no status text.
    const said = response.headers.get('x-error-message') ?? response.statusText;
    const remedy = remedyFor(status, target);
    const message = `cannot fetch ${url}: the server answered ${`${status} ${said}`.trimEnd()}${remedy ? `. ${remedy}` : ''}`;
    if (status === 404 || status === 410) return giveUp(new Missing('NETWORK', message));
    if (!isTransient(status)) return giveUp(new WeftError('NETWORK', message));
    return giveUp(
      new Transient(message, { answered: true, retryAfter: retryAfter(response.headers.get('retry-after')) }),
    );
  }
  const size = part ? part.total : sizeOf(response);
  const etag = response.headers.get('etag');
  return {
    body,
    start: part?.start ?? 0,
    end: part?.end ?? size,
    partial: part !== undefined,
    version: { size, etag, lastModified: response.headers.get('last-modified') },
    sha256: [response.headers.get('x-linked-etag'), etag].map(sha256Of).find((found) => found !== null) ?? null,
    release,
    cancel,
  };
}

function isTransient(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

export function isSameOrigin(url: string): boolean {
  return new URL(url).origin === globalThis.location?.origin;
}

/** On hubs, the ETag of a large file is its hash. */
function sha256Of(etag: string | null): string | null {
  return /^"([0-9a-f]{64})"$/.exec(etag ?? '')?.[1] ?? null;
}

function contentRange(header: string | null): { start: number; end: number; total: number } | undefined {
  const found = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header ?? '');
  const [start, last, total] = (found ?? []).slice(1).map(Number);
  if (start === undefined || last === undefined || total === undefined) return undefined;
  return start <= last && last < total ? { start, end: last + 1, total } : undefined;
}

/** Converts seconds or a date to milliseconds from now. */
function retryAfter(header: string | null): number | null {
  if (header === null) return null;
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(milliseconds) ? null : Math.max(0, milliseconds);
}

/**
 * Size of the body, if it is certain: `Content-Length` of a compressed response counts compressed
 * bytes.
 */
function sizeOf({ headers, type }: Response): number | null {
  // Across origins, Content-Length is visible but Content-Encoding is not.
  if (type === 'cors' || headers.has('content-encoding')) return null;
  const length = headers.get('content-length') ?? '';
  return /^\d+$/.test(length) ? Number(length) : null;
}
