/**
 * `weft-llm/openai`: a `fetch` that a loaded model answers. A client of OpenAI's API runs on it
 * with one more option: `new OpenAI({ baseURL: 'http://localhost/v1', apiKey: 'none', fetch:
 * openaiFetch(llm) })`. Nothing goes over the network.
 */

import {
  invalidOption,
  optionOf,
  serializeError,
  WeftError,
  type ErrorCode,
  type SerializedError,
} from '../common/errors.js';
import { streamOf } from '../common/signals.js';
import { checkLlm } from '../options/check.js';
import type { Llm } from '../types/index.js';
import type { ChatCompletionRequest, CompletionRequest, EmbeddingRequest, RequestOptions } from '../types/openai.js';

export type * from '../types/openai.js';

/** Errors caused by the request, with status 400. All others have 500. */
const OF_THE_REQUEST: readonly ErrorCode[] = [
  ...(['INVALID_OPTION', 'CONTEXT_OVERFLOW', 'CHAT_TEMPLATE', 'INVALID_CONSTRAINT', 'TOKENIZE'] as const),
  ...(['UNSUPPORTED_TASK', 'UNSUPPORTED_TOKENIZER'] as const),
];

/** An endpoint for POST requests. */
interface Endpoint {
  readonly path: string;
  /** Name of the field with the text. */
  readonly text: string;
  ask(llm: Llm, body: unknown, options: RequestOptions): Promise<object>;
}

const ENDPOINTS: readonly Endpoint[] = [
  {
    path: '/chat/completions',
    text: 'messages',
    ask: (llm, body, options) => llm.chat.completions.create(body as ChatCompletionRequest, options),
  },
  {
    path: '/completions',
    text: 'prompt',
    ask: (llm, body, options) => llm.completions.create(body as CompletionRequest, options),
  },
  {
    path: '/embeddings',
    text: 'input',
    ask: (llm, body, options) => llm.embeddings.create(body as EmbeddingRequest, options),
  },
];

/**
 * Returns a `fetch` for the paths `…/chat/completions`, `…/completions`, `…/embeddings` and
 * `…/models`. Errors are responses like those of OpenAI's servers, `{ error: { message, type,
 * param, code } }`. A stream starts when the model has accepted the request, so that its early
 * errors are such responses too. `code` is the code of the `WeftError`, or
 * `context_length_exceeded`.
 */
export function openaiFetch(llm: Llm): typeof globalThis.fetch {
  checkLlm(llm, 'chat');
  return async (input, init) => {
    const request = new Request(input, init);
    request.signal.throwIfAborted();
    const { pathname } = new URL(request.url);
    const path = pathname.replace(/\/$/, '');
    const models = /\/models(?:\/(.+))?$/.exec(path);
    if (models) return request.method === 'GET' ? modelsOf(llm, models[1]) : wrongMethod(request, path, 'GET');
    const endpoint = ENDPOINTS.find((endpoint) => path.endsWith(endpoint.path));
    if (!endpoint) {
      const known = 'POST …/chat/completions, …/completions, …/embeddings and GET …/models';
      return failure(404, `there is no ${path} here: weft answers ${known}`, { code: 'unknown_url' });
    }
    return request.method === 'POST' ? respond(llm, endpoint, request) : wrongMethod(request, path, 'POST');
  };
}

async function respond(llm: Llm, { text, ask }: Endpoint, request: Request): Promise<Response> {
  const stop = new AbortController();
  const abort = () => stop.abort(request.signal.reason);
  request.signal.addEventListener('abort', abort);
  let body: unknown;
  try {
    body = await bodyOf(request);
    return reply(await ask(llm, body, { signal: stop.signal }), stop);
  } catch (error) {
    request.signal.throwIfAborted();
    return refused(serializeError(error), text, body);
  }
}

/** Reads the body as JSON, whatever its content type: many clients send none. */
async function bodyOf(request: Request): Promise<unknown> {
  const text = await request.text();
  const type = request.headers.get('content-type') ?? '';
  const hint = /json|text\/plain/.test(type) || type === '' ? '' : ` (its content-type is ${type})`;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw invalidOption('body', `a JSON object${hint}`, text);
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalidOption('body', `a JSON object${hint}`, text);
  }
  return body;
}

function reply(answer: object, stop: AbortController): Response {
  if (!(Symbol.asyncIterator in answer)) return Response.json(answer);
  const stream = streamOf(events(answer as AsyncIterable<unknown>), () => stop.abort());
  return new Response(stream, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' } });
}

/** Server-sent events: one for each chunk, then `[DONE]`, or an error if the model failed. */
async function* events(chunks: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  const event = (data: unknown) => encoder.encode(`data: ${JSON.stringify(data)}\n\n`);
  try {
    for await (const chunk of chunks) yield event(chunk);
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    const { code, message } = error;
    return yield event({ error: { message, type: 'server_error', param: null, code } });
  }
  yield encoder.encode('data: [DONE]\n\n');
}

/** `id`: name of the requested model; without it, lists all. */
function modelsOf(llm: Llm, id: string | undefined): Response {
  const model = { id: llm.info.name, object: 'model', created: 0, owned_by: 'weft' };
  if (id === undefined) return Response.json({ object: 'list', data: [model] });
  const asked = plainText(id);
  if (asked === model.id) return Response.json(model);
  const message = `there is no model ${JSON.stringify(asked)} here; loaded is ${JSON.stringify(model.id)}`;
  return failure(404, message, { code: 'model_not_found', param: 'model' });
}

/** Decodes the escapes of a path; returns it unchanged if they are invalid. */
function plainText(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** `text`: name of the field with the text. `body`: as far as it could be read. */
function refused(error: SerializedError, text: string, body: unknown): Response {
  const { code, message } = error;
  if (!OF_THE_REQUEST.includes(code)) return failure(500, message, { code });
  const constrained = Object(body).response_format ? 'response_format' : 'tools';
  const option = optionOf(error) ?? (code === 'UNSUPPORTED_TASK' && Object(body).suffix ? 'suffix' : undefined);
  const param = option === 'body' ? null : (option ?? (code === 'INVALID_CONSTRAINT' ? constrained : text));
  return failure(400, message, { param, code: code === 'CONTEXT_OVERFLOW' ? 'context_length_exceeded' : code });
}

function wrongMethod({ method }: Request, path: string, allow: string): Response {
  const message = `${path} takes ${allow}, not ${method}`;
  return failure(405, message, { code: 'method_not_supported', headers: { allow } });
}

function failure(
  status: number,
  message: string,
  { code, param = null, headers = {} }: { code: string; param?: string | null; headers?: Record<string, string> },
): Response {
  const type = status === 500 ? 'server_error' : 'invalid_request_error';
  // The client would retry after a 500, and the model would fail again.
  const all = { ...headers, 'x-should-retry': 'false' };
  return Response.json({ error: { message, type, param, code } }, { status, headers: all });
}
