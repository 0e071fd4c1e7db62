/**
 * Requests to a server with OpenAI's API: JSON and server-sent events. Failures become {@link
 * WeftError}s.
 */

import { invalidOption, invalidSecret, WeftError, type ErrorCode } from '../common/errors.js';
import { EventParser } from './events.js';
import type { RemoteOptions } from './types.js';

/** Codes for invalid calls, from a server that runs weft. */
const OF_THE_CALL: readonly string[] = [
  ...['INVALID_OPTION', 'CONTEXT_OVERFLOW', 'CHAT_TEMPLATE', 'INVALID_CONSTRAINT', 'TOKENIZE', 'UNSUPPORTED_TASK'],
];

/**
 * How servers report that a prompt is too long: llama-server and OpenAI by a type or code, vLLM and
 * others in the message.
 */
const TOO_LONG =
  /exceed_context_size|context_length_exceeded|(maximum|max|available|model) context|exceeds the context|context window/i;

const BASE_URL = 'Is `baseURL` the address of an API of the kind of OpenAI? It mostly ends with /v1.';

/** Likely causes, by status of the response. */
const HINTS: Readonly<Record<number, string>> = {
  401: 'Give a valid `apiKey`.',
  403: 'May this `apiKey` use the model?',
  404: BASE_URL,
  405: BASE_URL,
};

export class Server {
  readonly baseURL: string;
  /** Appended to every path, for Azure's version for example. */
  readonly #query: string;
  readonly #headers: Headers;
  readonly #fetch: typeof globalThis.fetch;
  readonly #open = new Set<AbortController>();
  #disposed = false;

  constructor({ baseURL, apiKey, headers, fetch = globalThis.fetch }: RemoteOptions) {
    const base = globalThis.document?.baseURI ?? globalThis.location?.href;
    const url = URL.canParse(String(baseURL), base) ? new URL(baseURL, base) : null;
    if (!url || !/^https?:$/.test(url.protocol)) {
      throw invalidOption('baseURL', 'the address of an API, which begins with http:// or https://', baseURL);
    }
    const endpoint = /\/(chat\/completions|completions|embeddings)\/?$/.exec(url.pathname)?.[0];
    if (endpoint) throw invalidOption('baseURL', `the address without ${endpoint}, which each call adds`, baseURL);
    if (typeof fetch !== 'function') throw invalidOption('fetch', 'a function', fetch);
    this.#query = url.search;
    url.search = url.hash = '';
    this.baseURL = url.href.replace(/\/$/, '');
    this.#headers = checkHeaders(headers, apiKey);
    // the browser's own `fetch` must not be called as a method
    this.#fetch = (input, init) => fetch(input, init);
  }

  /** Aborts every request and refuses further ones. */
  dispose(): void {
    this.#disposed = true;
    for (const request of this.#open) request.abort(disposed());
  }

  /** Sends a request and returns the JSON response. */
  async json<T>(path: string, body: object | null, signal?: AbortSignal | null): Promise<T> {
    const request = this.#begin(signal);
    try {
      const response = await this.#request(path, body, request.signal);
      return this.#json<T>(path, await this.#reading(path, request.signal, () => response.text()));
    } finally {
      this.#open.delete(request);
    }
  }

  /**
   * Sends a request and streams the events of the response. Leaving the iteration ends the
   * response.
   */
  async events<T>(path: string, body: object, signal?: AbortSignal | null): Promise<AsyncIterable<T>> {
    const request = this.#begin(signal);
    try {
      const response = await this.#request(path, body, request.signal);
      if (!response.body) throw this.#unusable(path, 'nothing');
      if (/\b(json|html)\b/.test(response.headers.get('content-type') ?? '')) {
        const text = await this.#reading(path, request.signal, () => response.text());
        return this.#whole<T>(this.#json(path, text), request);
      }
      return this.#read<T>(path, response.body, request);
    } catch (error) {
      this.#open.delete(request);
      throw error;
    }
  }

  /** Aborts a request on the caller's signal or on {@link dispose}. */
  #begin(signal?: AbortSignal | null): AbortController {
    if (this.#disposed) throw disposed();
    signal?.throwIfAborted();
    const request = new AbortController();
    signal?.addEventListener('abort', () => request.abort(signal.reason), { once: true });
    this.#open.add(request);
    return request;
  }

  /** A server that does not stream sends the answer at once: as one chunk. */
  async *#whole<T>(answer: object, request: AbortController): AsyncGenerator<T> {
    this.#open.delete(request);
    const { choices = [] } = answer as { choices?: readonly { message?: object }[] };
    yield { ...answer, choices: choices.map(({ message, ...choice }) => ({ ...choice, delta: message })) } as T;
  }

  async *#read<T>(path: string, body: ReadableStream<Uint8Array>, request: AbortController): AsyncGenerator<T> {
    const { signal } = request;
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parser = new EventParser();
    let over = false;
    try {
      for (;;) {
        const { done, value } = await this.#reading(path, signal, () => reader.read());
        const events = parser.push(decoder.decode(value, { stream: !done }));
        for (const { type, data } of done ? [...events, ...parser.end()] : events) {
          for (const text of this.#texts(path, data)) {
            if (text === '[DONE]') return;
            const event = this.#event<T>(path, type, text);
            if (event === null) continue;
            over ||= isEnd(event);
            yield event;
          }
        }
        if (done && over) return;
        if (done) throw this.#cut(path);
      }
    } finally {
      // Also after the whole answer, because a server may keep the connection open. Errors no
      // longer matter.
      reader.cancel().catch(() => {});
      this.#open.delete(request);
    }
  }

  /**
   * Splits the data of an event into chunks: none if it is empty, several if a server left out the
   * empty lines.
   */
  #texts(path: string, data: string): string[] {
    const text = data.trim();
    if (text === '') return [];
    if (text === '[DONE]' || isJson(text)) return [text];
    const lines = text.split('\n').map((line) => line.trim());
    if (lines.every((line) => line === '[DONE]' || isJson(line))) return lines;
    throw this.#broken(path, `an event is no JSON: ${text.slice(0, 200)}`);
  }

  /** Null if it carries nothing. */
  #event<T>(path: string, type: string, text: string): T | null {
    const event: unknown = JSON.parse(text);
    // a server that fails during the answer says so in the stream
    if (type === 'error' || isError(event)) throw this.#refused(path, null, text);
    return typeof event === 'object' ? (event as T) : null;
  }

  #json<T>(path: string, text: string): T {
    if (isJson(text)) {
      const answer: unknown = JSON.parse(text);
      // some servers fail with status 200
      if (isError(answer)) throw this.#refused(path, null, text);
      return answer as T;
    }
    const page = /^\s*<(!doctype|html|head|body)/i.test(text);
    throw this.#unusable(path, page ? 'a web page' : `no JSON: ${text.slice(0, 200) || 'nothing'}`);
  }

  async #request(path: string, body: object | null, signal: AbortSignal): Promise<Response> {
    const headers = new Headers(this.#headers);
    if (body) headers.set('content-type', 'application/json');
    const init: RequestInit = body
      ? { method: 'POST', headers, body: JSON.stringify(body), signal }
      : { headers, signal };
    const response = await this.#reading(path, signal, () => this.#fetch(this.baseURL + path + this.#query, init));
    if (response.ok) return response;
    throw this.#refused(path, response.status, await this.#reading(path, signal, () => response.text()));
  }

  /** Runs network `work`: an abort throws its reason, a failure names the server. */
  async #reading<T>(path: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      signal.throwIfAborted();
      throw this.#broken(path, cause instanceof Error ? cause.message : String(cause), cause);
    }
  }

  #broken(path: string, what: string, cause?: unknown): WeftError {
    const remedy = 'Is it running, and does it allow requests from this page (CORS)?';
    return new WeftError('NETWORK', `${this.baseURL}${path}: ${what}. ${remedy}`, { cause });
  }

  #cut(path: string): WeftError {
    const what = 'the answer ended before it was complete';
    return new WeftError('NETWORK', `${this.baseURL}${path}: ${what}. Ask again, or look into the server's log.`);
  }

  #unusable(path: string, what: string): WeftError {
    return new WeftError('SERVER', `${this.baseURL}${path} answered ${what}. ${BASE_URL}`);
  }

  #refused(path: string, status: number | null, text: string): WeftError {
    const { message, type, code } = errorOf(text);
    const hint = status === null ? undefined : HINTS[status];
    const said = `${this.baseURL}${path} answered${status === null ? '' : ` ${status}`}: ${message}${hint ? `. ${hint}` : ''}`;
    if (OF_THE_CALL.includes(String(code))) return new WeftError(code as ErrorCode, said);
    const tooLong = TOO_LONG.test(`${type} ${code} ${message}`);
    return new WeftError(tooLong ? 'CONTEXT_OVERFLOW' : 'SERVER', said);
  }
}

function disposed(): WeftError {
  return new WeftError('DISPOSED', 'the model was disposed of; connect to it again');
}

/** Servers' errors have similar formats, but need not be JSON: a proxy may have answered. */
function errorOf(text: string): { message: string; type?: unknown; code?: unknown } {
  try {
    const { error, ...rest } = JSON.parse(text) as { error?: unknown; message?: unknown; detail?: unknown };
    const found = (typeof error === 'object' && error !== null ? error : { message: error, ...rest }) as Record<
      string,
      unknown
    >;
    const message = found['message'] ?? found['detail'];
    return { ...found, message: typeof message === 'string' ? message : text.slice(0, 500) };
  } catch {
    return { message: text.slice(0, 500) || 'nothing' };
  }
}

/** How OpenAI's servers, and earlier versions of vLLM, report a failure. */
function isError(answer: unknown): boolean {
  const { error, object } = Object(answer) as { error?: unknown; object?: unknown };
  return Boolean(error) || object === 'error';
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isEnd(event: unknown): boolean {
  const { choices } = (event ?? {}) as { choices?: readonly { finish_reason?: unknown }[] };
  return Array.isArray(choices) && choices.some((choice) => Boolean(choice?.finish_reason));
}

function checkHeaders(given: unknown, apiKey: unknown): Headers {
  if (apiKey !== undefined && (typeof apiKey !== 'string' || !/^[\x21-\x7e]+$/.test(apiKey))) {
    throw invalidSecret('apiKey', apiKey);
  }
  let headers: Headers;
  try {
    headers = new Headers((given ?? {}) as Record<string, string>);
  } catch {
    throw invalidOption('headers', 'an object, name → value', given);
  }
  if (apiKey !== undefined) headers.set('authorization', `Bearer ${apiKey}`);
  return headers;
}
