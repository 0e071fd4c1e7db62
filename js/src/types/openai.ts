/**
 * Requests and answers in OpenAI's format. Requests written for the `openai` package work, and the
 * answers fit its types. What weft does not support fails with an error that names it.
 */

import type { GenerateOptions, IgnoredKeyword, SchemaLimits } from './generate.js';
import type { EmbedOptions } from './tasks.js';

/**
 * Stops an answer when it is aborted; the promise or iteration then fails with the signal's reason.
 */
export interface RequestOptions {
  signal?: AbortSignal | null | undefined;
}

export interface ContentPart {
  readonly type: string;
  readonly text?: string;
  readonly refusal?: string;
}

export interface ToolCall {
  readonly id: string;
  readonly type: string;
  readonly function?: { readonly name: string; readonly arguments: string };
}

export interface ChatMessage {
  /** `developer` is `system` by another name. */
  readonly role: 'developer' | 'system' | 'user' | 'assistant' | 'tool' | 'function';
  /** Text, or parts of it. */
  readonly content?: string | readonly ContentPart[] | null;
  /** The assistant's refusal to answer. */
  readonly refusal?: string | null;
  readonly name?: string | null;
  readonly tool_calls?: readonly ToolCall[] | null;
  readonly tool_call_id?: string | null;
  /** The model's reasoning before this answer, for templates that show it again. */
  readonly reasoning_content?: string | null;
}

export interface Tool {
  readonly type: string;
  readonly function?: {
    readonly name: string;
    readonly description?: string;
    readonly parameters?: Readonly<Record<string, unknown>>;
    readonly strict?: boolean | null;
  };
}

/** Fields of both kinds of request. Sampling options have weft's own defaults. */
interface CommonRequest {
  /** Ignored: the loaded model answers, and the answer names it. */
  readonly model?: string;
  readonly max_tokens?: number | null;
  /** Number of answers, generated at once. Default 1. */
  readonly n?: number | null;
  readonly seed?: number | null;
  readonly stop?: string | readonly string[] | null;
  readonly stream?: boolean | null;
  readonly stream_options?: { readonly include_usage?: boolean } | null;
  readonly temperature?: number | null;
  readonly top_p?: number | null;
  /** Not in OpenAI's API, but common among servers. */
  readonly top_k?: number | null;
  /** Not in OpenAI's API, but common among servers. */
  readonly min_p?: number | null;
  /** See {@link GenerateOptions}; not in OpenAI's API. */
  readonly speculate?: GenerateOptions['speculate'] | null;
  /** See {@link GenerateOptions}; not in OpenAI's API. */
  readonly adapter?: GenerateOptions['adapter'] | null;
  readonly frequency_penalty?: number | null;
  readonly presence_penalty?: number | null;
  /** Token id → bias. */
  readonly logit_bias?: Readonly<Record<string, number>> | null;
}

export interface ChatCompletionRequest extends CommonRequest {
  readonly messages: readonly ChatMessage[];
  readonly max_completion_tokens?: number | null;
  readonly logprobs?: boolean | null;
  /** Number of alternatives to report for each token; needs `logprobs`. */
  readonly top_logprobs?: number | null;
  readonly tools?: readonly Tool[];
  /**
   * `auto`; `none` hides the tools from the model; `required` or `{ type: 'function', function: {
   * name } }` makes the answer a call; `{ type: 'allowed_tools', allowed_tools: { mode, tools } }`
   * allows only some of the tools.
   */
  readonly tool_choice?: unknown;
  /** Whether one answer may contain several calls. Default true. */
  readonly parallel_tool_calls?: boolean | null;
  /**
   * `text`, `json_object` or `json_schema`. A part of a schema that cannot be enforced is an error,
   * whether `strict` or not.
   */
  readonly response_format?: {
    readonly type: string;
    /** `schema` can be a schema object of zod, Valibot or ArkType, as in a constraint. */
    readonly json_schema?: { readonly schema?: object };
  };
  /**
   * `onUnsupported` of {@link GenerateOptions}; not in OpenAI's API. The answer lists in
   * `schema_ignored` what is not enforced.
   */
  readonly on_unsupported?: 'error' | 'ignore' | null;
  /** See {@link SchemaLimits}; not in OpenAI's API. */
  readonly limits?: SchemaLimits | null;
  /** Passed to the chat template under this name; `none` asks the model not to think. */
  readonly reasoning_effort?: string | null;
  /**
   * More variables for the chat template, in the form some servers use: `{ enable_thinking: false
   * }`.
   */
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>>;
}

export interface CompletionRequest extends CommonRequest {
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[] | null;
  /** Text after the gap that the answer fills (fill-in-the-middle). */
  readonly suffix?: string | null;
  /** Number of alternatives to report for each token. */
  readonly logprobs?: number | null;
  /** Puts the prompt before the text. */
  readonly echo?: boolean | null;
}

export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Prompt tokens that were in the KV cache already. */
  prompt_tokens_details: { cached_tokens: number };
  /** Drafted tokens of the answers; only with `speculate`. */
  completion_tokens_details?: { accepted_prediction_tokens: number; rejected_prediction_tokens: number };
  /** Times of the first answer; not in OpenAI's API. */
  timings: { time_to_first_token_ms: number; prompt_tokens_per_second: number; tokens_per_second: number };
}

export type ChatFinishReason = 'stop' | 'length' | 'tool_calls';

export interface TopLogprob {
  token: string;
  bytes: number[] | null;
  logprob: number;
}

export interface ChatLogprobs {
  content: (TopLogprob & { top_logprobs: TopLogprob[] })[] | null;
  refusal: null;
}

export interface FunctionToolCall {
  id: string;
  type: 'function';
  /** `arguments` is the JSON that the model wrote. */
  function: { name: string; arguments: string };
}

export interface ChatCompletion {
  id: string;
  object: 'chat.completion';
  created: number;
  model: string;
  choices: {
    index: number;
    message: {
      role: 'assistant';
      content: string | null;
      refusal: null;
      tool_calls?: FunctionToolCall[];
      /**
       * The model's reasoning before the answer; not in OpenAI's API, but servers of open models
       * use this name.
       */
      reasoning_content?: string;
    };
    finish_reason: ChatFinishReason;
    logprobs: ChatLogprobs | null;
    /** Parts of schemas that are not enforced; only if there are any. */
    schema_ignored?: readonly IgnoredKeyword[];
  }[];
  usage: CompletionUsage;
}

export interface ChatDelta {
  role?: 'assistant';
  content?: string;
  reasoning_content?: string;
  tool_calls?: ToolCallDelta[];
}

/** A part of a call: first its name, then its arguments. */
export interface ToolCallDelta {
  /** Index of the call in the answer. */
  index: number;
  id?: string;
  type?: 'function';
  function: { name?: string; arguments: string };
}

export interface ChatCompletionChunk {
  id: string;
  object: 'chat.completion.chunk';
  created: number;
  model: string;
  choices: {
    index: number;
    delta: ChatDelta;
    finish_reason: ChatFinishReason | null;
    /** In the last chunk: parts of schemas that are not enforced; only if there are any. */
    schema_ignored?: readonly IgnoredKeyword[];
    logprobs: ChatLogprobs | null;
  }[];
  /** In the last chunk, which has no choices, if `include_usage` asks for it. */
  usage?: CompletionUsage | null;
}

export interface TextLogprobs {
  tokens: string[];
  token_logprobs: number[];
  top_logprobs: Record<string, number>[];
  /** Offsets in UTF-16 code units from the start of the text. */
  text_offset: number[];
}

export interface Completion {
  id: string;
  object: 'text_completion';
  created: number;
  model: string;
  choices: { index: number; text: string; finish_reason: 'stop' | 'length'; logprobs: TextLogprobs | null }[];
  usage?: CompletionUsage;
}

/**
 * A chunk of a streamed completion. `finish_reason` is null before the last chunk of each choice,
 * as on OpenAI's servers.
 */
export interface CompletionChunk extends Omit<Completion, 'choices' | 'usage'> {
  choices: { index: number; text: string; finish_reason: 'stop' | 'length' | null; logprobs: TextLogprobs | null }[];
  usage?: CompletionUsage | null;
}

export interface EmbeddingRequest {
  readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  readonly model?: string;
  /** Default `float`. */
  readonly encoding_format?: 'float' | 'base64';
  /** See {@link EmbedOptions}; not in OpenAI's API. */
  readonly adapter?: EmbedOptions['adapter'] | null;
  /** See {@link EmbedOptions}; not in OpenAI's API. */
  readonly task?: EmbedOptions['task'] | null;
}

export interface CreateEmbeddingResponse {
  object: 'list';
  model: string;
  /** `embedding` is a string if `base64` was asked for. */
  data: { object: 'embedding'; index: number; embedding: number[] }[];
  usage: { prompt_tokens: number; total_tokens: number };
}

export interface Embeddings {
  /** Turns each text into a vector. */
  create(request: EmbeddingRequest, options?: RequestOptions): Promise<CreateEmbeddingResponse>;
}

export interface ChatCompletions {
  /** Streams the answer in chunks; `break` stops it. */
  create(
    request: ChatCompletionRequest & { readonly stream: true },
    options?: RequestOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  /** Returns the whole answer. */
  create(
    request: ChatCompletionRequest & { readonly stream?: false | null },
    options?: RequestOptions,
  ): Promise<ChatCompletion>;
  create(
    request: ChatCompletionRequest,
    options?: RequestOptions,
  ): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>>;
}

export interface Completions {
  create(
    request: CompletionRequest & { readonly stream: true },
    options?: RequestOptions,
  ): Promise<AsyncIterable<CompletionChunk>>;
  create(
    request: CompletionRequest & { readonly stream?: false | null },
    options?: RequestOptions,
  ): Promise<Completion>;
  create(request: CompletionRequest, options?: RequestOptions): Promise<Completion | AsyncIterable<CompletionChunk>>;
}
