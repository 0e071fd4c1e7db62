/**
 * `weft-llm/openai`: a `fetch` that a loaded model answers, so that a client of OpenAI's API runs on it with one option more:
 * `new OpenAI({ baseURL: 'http://localhost/v1', apiKey: 'none', fetch: openaiFetch(llm) })`. Nothing goes over the network.
 */

import { serializeError, type ErrorCode } from '../errors.js';
import type { Llm } from '../types.js';
import type { ChatCompletionRequest, CompletionRequest, EmbeddingRequest } from './types.js';

export type * from './types.js';

/** What a server would answer with where the caller is to blame; all else is 500. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  INVALID_OPTION: 400,
  CONTEXT_OVERFLOW: 400,
  CHAT_TEMPLATE: 400,
  INVALID_CONSTRAINT: 400,
  TOKENIZE: 400,
  UNSUPPORTED_TASK: 400,
};

/** A `fetch` for the paths `…/chat/completions`, `…/completions`, `…/embeddings` and `…/models`; others are 404. */
export function openaiFetch(llm: Llm): typeof globalThis.fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    request.signal.throwIfAborted();
    try {
      return await respond(llm, request);
    } catch (error) {
      request.signal.throwIfAborted();
      const { code, message } = serializeError(error);
      return failure(STATUS[code] ?? 500, code, message);
    }
  };
}

async function respond(llm: Llm, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (request.method === 'GET' && pathname.endsWith('/models')) {
    const model = { id: llm.info.name, object: 'model', created: 0, owned_by: 'weft' };
    return Response.json({ object: 'list', data: [model] });
  }
  const { signal } = request;
  if (request.method === 'POST' && pathname.endsWith('/chat/completions')) {
    return reply(await llm.chat.completions.create(await body<ChatCompletionRequest>(request), { signal }));
  }
  if (request.method === 'POST' && pathname.endsWith('/completions')) {
    return reply(await llm.completions.create(await body<CompletionRequest>(request), { signal }));
  }
  if (request.method === 'POST' && pathname.endsWith('/embeddings')) {
    return reply(await llm.embeddings.create(await body<EmbeddingRequest>(request), { signal }));
  }
  const known = 'POST …/chat/completions, …/completions, …/embeddings and GET …/models';
  return failure(404, 'NOT_SUPPORTED', `weft answers ${known}, not ${request.method} ${pathname}`);
}

async function body<T>(request: Request): Promise<T> {
  return (await request.json()) as T;
}

function reply(answer: object | AsyncIterable<unknown>): Response {
  if (!(Symbol.asyncIterator in answer)) return Response.json(answer);
  return new Response(events(answer), {
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' },
  });
}

/** Server-sent events: a chunk each, and `[DONE]`. Whoever cancels the stream ends the answer. */
function events(chunks: AsyncIterable<unknown>): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  const event = (data: string) => encoder.encode(`data: ${data}\n\n`);
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      controller.enqueue(event(done ? '[DONE]' : JSON.stringify(value)));
      if (done) controller.close();
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}

function failure(status: number, code: ErrorCode, message: string): Response {
  const type = status === 500 ? 'server_error' : 'invalid_request_error';
  // The client would ask again after a 500, and the model would fail again.
  const headers = { 'x-should-retry': 'false' };
  return Response.json({ error: { message, type, param: null, code } }, { status, headers });
}
