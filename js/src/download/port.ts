/**
 * Runs the caller's `fetch` and reads the caller's streams in the page, for the worker. Functions
 * cannot cross to it, and in some browsers streams cannot either. One piece crosses at a time, on
 * request.
 */

import { messageOf } from '../common/errors.js';
import type { Fetch } from './http.js';

/** From the reader. */
type Wish = 'pull' | 'cancel';

/** To the reader. */
type Given =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'end' }
  | { readonly type: 'error'; readonly message: string };

/** Sent before the body. */
interface Head {
  readonly type: 'head';
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly hasBody: boolean;
}

interface FetchRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly cache: RequestCache;
  readonly reply: MessagePort;
}

/** In the page: sends the bytes of a stream to {@link receive}. */
export function give(stream: ReadableStream<Uint8Array>, port: MessagePort): void {
  const reader = stream.getReader();
  port.onmessage = async ({ data: wish }: MessageEvent<Wish>) => {
    if (wish === 'cancel') {
      port.close();
      return void reader.cancel().catch(() => undefined);
    }
    const given = await reader.read().then(
      ({ done, value }): Given => (done ? { type: 'end' } : { type: 'bytes', bytes: value }),
      (error: unknown): Given => ({ type: 'error', message: messageOf(error) }),
    );
    port.postMessage(given);
    if (given.type !== 'bytes') port.close();
  };
}

/** Ports whose stream was read, at least in part. */
const received = new WeakSet<MessagePort>();

/**
 * In the worker: the stream that {@link give} sends. Errors become `Error`s with the original
 * message. Reading a stream again, after a lost GPU for example, is an error, where the port would
 * stay silent.
 */
export function receive(port: MessagePort): ReadableStream<Uint8Array> {
  if (received.has(port)) throw new Error('a stream can be read only once');
  received.add(port);
  return new ReadableStream<Uint8Array>(
    {
      pull: (controller) =>
        new Promise<void>((resolve) => {
          port.onmessage = ({ data: given }: MessageEvent<Given>) => {
            if (given.type === 'bytes') controller.enqueue(given.bytes);
            else if (given.type === 'end') controller.close();
            else controller.error(new Error(given.message));
            if (given.type !== 'bytes') port.close();
            resolve();
          };
          port.postMessage('pull' satisfies Wish);
        }),
      cancel() {
        port.postMessage('cancel' satisfies Wish);
      },
    },
    { highWaterMark: 0 },
  );
}

/** In the page: runs `fetch` for {@link fetchBy}. */
export function giveFetch(fetch: typeof globalThis.fetch, port: MessagePort): void {
  port.onmessage = async ({ data: { url, headers, cache, reply } }: MessageEvent<FetchRequest>) => {
    const controller = new AbortController();
    reply.onmessage = () => controller.abort();
    try {
      const response = await fetch(url, { headers, cache, signal: controller.signal });
      const { status, statusText, body } = response;
      const head: Head = { type: 'head', status, statusText, headers: [...response.headers], hasBody: body !== null };
      reply.postMessage(head);
      if (body) give(body, reply);
    } catch (error) {
      reply.postMessage({ type: 'error', message: messageOf(error) } satisfies Given);
      reply.close();
    }
  };
}

/** In the worker: a `fetch` that the page runs. */
export function fetchBy(port: MessagePort): Fetch {
  return (url, { headers, cache = 'default', signal }) =>
    new Promise((resolve, reject) => {
      const { port1, port2 } = new MessageChannel();
      const abort = () => {
        port1.postMessage('cancel' satisfies Wish);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', abort);
      port1.onmessage = ({ data }: MessageEvent<Head | Given>) => {
        signal?.removeEventListener('abort', abort);
        if (data.type !== 'head') return reject(new TypeError(data.type === 'error' ? data.message : 'no answer'));
        const { status, statusText, hasBody } = data;
        const init = { status, statusText, headers: data.headers as [string, string][] };
        resolve(new Response(hasBody ? receive(port1) : null, init));
      };
      const request: FetchRequest = { url, headers: headers as Record<string, string>, cache, reply: port2 };
      port.postMessage(request, [port2]);
    });
}
