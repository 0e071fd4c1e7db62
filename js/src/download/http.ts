/** One request for a file or a part of it, and what the answer means. */

import { messageOf, WeftError } from '../common/errors.js';
import { watchViolations } from '../common/violations.js';
import { within } from '../common/within.js';
import { isStrong, type Version } from '../store/version.js';
import { reasonFor, remedyFor, type Asked } from './refusals.js';

export type Fetch = (address: string, init: RequestInit) => Promise<Response>;

/** It may work when it is tried again. */
export class Transient extends Error {
  /** Whether a server answered at all. */
  readonly answered: boolean;
  /** Whether nothing came for too long. */
  readonly stalled: boolean;
  /** Milliseconds that the server asked to wait; null where it did not. */
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
 * What `waiting` gives, unless it takes longer than so many milliseconds: then `stalled` runs, and it is {@link Transient}. A connection
 * may be dead, behind a network that changed for example, without either end being told.
 */
export function inTime<T>(waiting: Promise<T>, milliseconds: number, what: string, stalled: () => void): Promise<T> {
  return within(waiting, milliseconds, () => {
    // after the error, which its own would hide
    queueMicrotask(stalled);
    return new Transient(`${what}: nothing came for ${milliseconds / 1000} s.`, { stalled: true });
  });
}

/** There is no such file. */
export class Missing extends WeftError {}

/** The bytes that were asked for are not there: the file is shorter than it was, or the server cannot send parts. */
export class NoSuchRange extends Error {}

export interface Answer {
  readonly body: ReadableStream<Uint8Array>;
  /** Where in the file the body begins. */
  readonly start: number;
  /** Where it ends; null where only its end tells. */
  readonly end: number | null;
  /** Whether it is what was asked for; false if it is the whole file instead. */
  readonly partial: boolean;
  readonly version: Version;
  /** Of the whole file, where the server tells. */
  readonly sha256: string | null;
  /** To be called when the body was read: the signal ends it no more. */
  release(): void;
  /** Ends the request, of which nothing was read. */
  cancel(): Promise<void>;
}

export interface Target extends Asked {
  /** Whether the browser's own cache may serve and keep it: what is stored here need not be twice on the disk. */
  readonly useCache: boolean;
  /** Milliseconds without a byte after which a connection counts as broken. */
  readonly stallMs: number;
}

/** `range`: first byte, and the one after the last. `known`: what the part must be of; a server that can tell sends all of another. */
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
  // From another origin it would need the server's permission; there, the answer's own headers are compared.
  if (range && validator && isSameOrigin(url)) wanted['If-Range'] = validator;

  // Ends this request alone.
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
    // An error page has a body too, which nobody will read.
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
  // some browsers give an empty body to an answer that has none
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

/** Hubs name large files by their hash. */
function sha256Of(etag: string | null): string | null {
  return /^"([0-9a-f]{64})"$/.exec(etag ?? '')?.[1] ?? null;
}

function contentRange(header: string | null): { start: number; end: number; total: number } | undefined {
  const found = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header ?? '');
  const [start, last, total] = (found ?? []).slice(1).map(Number);
  if (start === undefined || last === undefined || total === undefined) return undefined;
  return start <= last && last < total ? { start, end: last + 1, total } : undefined;
}

/** Seconds, or a date → milliseconds from now. */
function retryAfter(header: string | null): number | null {
  if (header === null) return null;
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(milliseconds) ? null : Math.max(0, milliseconds);
}

/** Bytes of the body, where the answer tells them for certain: `Content-Length` counts what came compressed as such. */
function sizeOf({ headers, type }: Response): number | null {
  // From another origin, a page sees Content-Length but not Content-Encoding.
  if (type === 'cors' || headers.has('content-encoding')) return null;
  const length = headers.get('content-length') ?? '';
  return /^\d+$/.test(length) ? Number(length) : null;
}
