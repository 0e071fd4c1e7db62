/**
 * What the page does for the worker, because neither functions nor, in some browsers, streams can cross: it runs the caller's
 * own `fetch`, and reads the caller's streams. One piece crosses at a time, and only when it is asked for.
 */

import { messageOf } from '../common/errors.js';
import type { Fetch } from './http.js';

/** From who reads. */
type Wish = 'pull' | 'cancel';

/** To who reads. */
type Given =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'end' }
  | { readonly type: 'error'; readonly message: string };

/** Comes before the body. */
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

/** Gives the bytes of a stream to {@link receive}, in the page. */
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

/** Ports whose stream was read, or begun. */
const received = new WeakSet<MessagePort>();

/**
 * The stream that {@link give} gives, in the worker. Errors are `Error`s with the message of the original; one that is asked
 * for again, as after a lost GPU, is an error too, where the port would be silent.
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

/** Runs `fetch` in the page for {@link fetchBy}. */
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

/** A `fetch` that the page runs. */
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
