/**
 * A model on a server with OpenAI's API (vLLM, llama-server, Ollama and many others), used like a
 * loaded one.
 */

import { Answering } from '../answers/answering.js';
import { invalidOption } from '../common/errors.js';
import { anyOf, beginning } from '../common/signals.js';
import { checkNames, checkTexts } from '../options/check.js';
import type { ChatOptions, FinishReason, TextOptions } from '../types/index.js';
import type { CreateEmbeddingResponse, EmbeddingRequest, RequestOptions } from '../types/openai.js';
import { chatRequest, textRequest } from './request.js';
import { Server } from './server.js';
import type { AnyCompletionUsage, AnyPiece, RanOn, RemoteInfo, RemoteLlm, RemoteOptions } from './types.js';

const OPTIONS = ['baseURL', 'model', 'apiKey', 'headers', 'fetch', 'signal'];

/**
 * Connects to a model on a server. Rejects with a `WeftError` (`NETWORK` if the server cannot be
 * reached, `SERVER` if it refuses, `INVALID_OPTION`) or with the signal's reason.
 */
export async function remote(options: RemoteOptions): Promise<RemoteLlm> {
  checkNames(options, OPTIONS);
  const { model, signal } = options;
  if (model !== undefined && (typeof model !== 'string' || !model)) throw invalidOption('model', 'a name', model);
  const server = new Server(options);
  return connected(server, await describe(server, model, signal));
}

/** An entry of `/models`. Servers report the context length in fields of their own. */
interface Listed {
  readonly id: string;
  /** vLLM's */
  readonly max_model_len?: number;
  /** llama-server's */
  readonly meta?: { readonly n_ctx?: number } | null;
}

async function describe(server: Server, model: string | undefined, signal?: AbortSignal): Promise<RemoteInfo> {
  let listed: readonly Listed[] = [];
  try {
    ({ data: listed = [] } = await server.json<{ data?: readonly Listed[] }>('/models', null, signal));
  } catch (error) {
    // Not every server lists its models.
    if (model === undefined || (error as { code?: unknown }).code !== 'SERVER') throw error;
  }
  const name = model ?? listed[0]?.id;
  if (name === undefined) throw invalidOption('model', `a name, since ${server.baseURL} lists none`, model);
  const found = listed.find(({ id }) => id === name);
  const contextLength = found?.max_model_len ?? found?.meta?.n_ctx ?? null;
  return { name, tasks: ['generate', 'chat', 'embed'], contextLength, baseURL: server.baseURL };
}

function connected(server: Server, info: RemoteInfo): RemoteLlm {
  const { name: model } = info;
  const ranOn: RanOn = { where: 'remote', model, reason: null };
  const ran = { ran_on: ranOn };
  const creates = (path: string) => ({
    async create(request: { readonly stream?: boolean | null }, { signal }: RequestOptions = {}) {
      if (typeof request !== 'object' || request === null) throw invalidOption('request', 'an object', request);
      const body = { ...request, model };
      const place = (answer: Thinking) => ({ ...named(answer), ...ran });
      if (!request.stream) return place(await server.json<Thinking>(path, body, signal));
      return beginning(mapped(await server.events<Thinking>(path, body, signal), place));
    },
  });
  const answer = (path: string, request: object, signal?: AbortSignal) => {
    const body = { ...request, model, stream: true, stream_options: { include_usage: true } };
    return new Answering((left, started) =>
      pieces((signal) => server.events<Chunk>(path, body, signal), ranOn, [signal, left], started),
    );
  };
  const chat = (messages: Parameters<typeof chatRequest>[0], options: ChatOptions = {}) =>
    answer('/chat/completions', chatRequest(messages, options), options.signal);
  const embeddings = {
    create: (request: EmbeddingRequest, { signal }: RequestOptions = {}) =>
      server.json<CreateEmbeddingResponse>('/embeddings', { ...request, model }, signal),
  };
  return {
    info,
    generate: (prompt, options: TextOptions = {}) =>
      answer('/completions', textRequest(prompt, options), options.signal),
    chat: Object.assign(chat, { completions: creates('/chat/completions') }) as unknown as RemoteLlm['chat'],
    completions: creates('/completions') as unknown as RemoteLlm['completions'],
    embeddings,
    async embed(texts, { normalize = true, signal, ...others } = {}) {
      checkNames({ ...others }, ['normalize', 'signal']);
      const input = checkTexts('texts', texts);
      if (input.length === 0) return [];
      const request = { input, encoding_format: 'float' } as const;
      const { data } = await embeddings.create(request, { signal });
      const vectors = [...data].sort((a, b) => a.index - b.index).map(({ embedding }) => Float32Array.from(embedding));
      return normalize ? vectors.map(unit) : vectors;
    },
    dispose: () => server.dispose(),
  };
}

interface Thoughts {
  readonly reasoning_content?: string | null;
  /** Other servers' name for it. */
  readonly reasoning?: string | null;
}

/** Where an answer or chunk has its reasoning. */
interface Thinking {
  readonly choices?: readonly { readonly message?: Thoughts; readonly delta?: Thoughts }[];
}

/** Renames the reasoning to weft's name for it. */
function named(answer: Thinking): Thinking {
  const rename = ({ reasoning, ...rest }: Thoughts) =>
    typeof reasoning === 'string' ? { reasoning_content: reasoning, ...rest } : { ...rest };
  if (!answer.choices?.some(({ message, delta }) => message?.reasoning ?? delta?.reasoning)) return answer;
  const choices = answer.choices.map(({ message, delta, ...choice }) => ({
    ...choice,
    ...(message && { message: rename(message) }),
    ...(delta && { delta: rename(delta) }),
  }));
  return { ...answer, choices };
}

/** Content of a reasoning model on Mistral's servers. */
interface Part {
  readonly text?: string;
  readonly thinking?: readonly Part[];
}

/** The fields that are read of a chunk, of a text or a chat. */
interface Chunk {
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: (Thoughts & { readonly content?: string | readonly Part[] | null }) | null;
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: AnyCompletionUsage | null;
}

/**
 * The request is made when the iteration starts. An abort ends it with the reason `abort`, as with
 * a loaded model.
 */
async function* pieces(
  ask: (signal: AbortSignal) => Promise<AsyncIterable<Chunk>>,
  ranOn: RanOn,
  signals: readonly (AbortSignal | undefined)[],
  started: () => void,
): AsyncGenerator<AnyPiece, void, void> {
  const { signal, release } = anyOf(...signals);
  const start = performance.now();
  let first: number | undefined;
  let last = start;
  let reason: FinishReason = 'stop';
  let usage: AnyCompletionUsage | undefined;
  try {
    signal.throwIfAborted();
    const chunks = await ask(signal);
    started();
    for await (const chunk of chunks) {
      const choice = chunk.choices?.[0];
      const content = choice?.delta?.content ?? choice?.text ?? '';
      const text = typeof content === 'string' ? content : textOf(content);
      const thinking = typeof content === 'string' ? [] : content.flatMap(({ thinking = [] }) => thinking);
      const reasoning = choice?.delta?.reasoning_content ?? choice?.delta?.reasoning ?? textOf(thinking);
      usage = chunk.usage ?? usage;
      if (choice?.finish_reason === 'length') reason = 'length';
      if (!text && !reasoning) continue;
      last = performance.now();
      first ??= last;
      yield { text, id: null, finish: null, ...(reasoning ? { reasoning } : {}) };
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    reason = 'abort';
  } finally {
    release();
  }
  const completionTokens = usage?.completion_tokens ?? null;
  const seconds = (last - (first ?? last)) / 1000;
  const figures = {
    promptTokens: usage?.prompt_tokens ?? null,
    cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? null,
    completionTokens,
    timeToFirstTokenMs: first === undefined ? null : first - start,
    // includes the network, so it does not measure the prompt
    promptTokensPerSecond: null,
    tokensPerSecond: completionTokens !== null && seconds > 0 ? (completionTokens - 1) / seconds : null,
  };
  yield { text: '', id: null, finish: { reason, usage: figures, ranOn } };
}

const textOf = (parts: readonly Part[]) => parts.map(({ text = '' }) => text).join('');

export async function* mapped<A, B>(items: AsyncIterable<A>, map: (item: A) => B): AsyncGenerator<B> {
  for await (const item of items) yield map(item);
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((value) => value / length) : vector;
}
