/**
 * Requests and answers in OpenAI's shape. Requests written for the `openai` package fit, and what is answered fits its types; what
 * weft cannot do is refused when it is asked for, by name.
 */

import type { IgnoredKeyword, SchemaLimits } from './generate.js';

/** Ends an answer when it is aborted: the promise or the iteration then fails with the signal's reason. */
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
  /** What an assistant said in place of an answer. */
  readonly refusal?: string | null;
  readonly name?: string | null;
  readonly tool_calls?: readonly ToolCall[] | null;
  readonly tool_call_id?: string | null;
  /** What the model thought before this answer, for templates that show it again. */
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

/** What both kinds of request have. Where it says nothing of sampling, weft's own defaults hold. */
interface CommonRequest {
  /** Any name: the model is the one that is loaded, and the answer says which. */
  readonly model?: string;
  readonly max_tokens?: number | null;
  /** Answers; default 1. They come one after the other. */
  readonly n?: number | null;
  readonly seed?: number | null;
  readonly stop?: string | readonly string[] | null;
  readonly stream?: boolean | null;
  readonly stream_options?: { readonly include_usage?: boolean } | null;
  readonly temperature?: number | null;
  readonly top_p?: number | null;
  /** No field of OpenAI's, but of many servers. */
  readonly top_k?: number | null;
  /** No field of OpenAI's, but of many servers. */
  readonly min_p?: number | null;
  readonly frequency_penalty?: number | null;
  readonly presence_penalty?: number | null;
  /** Token id → bias. */
  readonly logit_bias?: Readonly<Record<string, number>> | null;
}

export interface ChatCompletionRequest extends CommonRequest {
  readonly messages: readonly ChatMessage[];
  readonly max_completion_tokens?: number | null;
  readonly logprobs?: boolean | null;
  /** Alternatives to tell beside each token; takes `logprobs`. */
  readonly top_logprobs?: number | null;
  readonly tools?: readonly Tool[];
  /**
   * `auto`; `none`, which hides the tools from the model; `required`, or `{ type: 'function',
   * function: { name } }`: the answer is a call; `{ type: 'allowed_tools', allowed_tools: { mode,
   * tools } }`: calls of some of the tools alone.
   */
  readonly tool_choice?: unknown;
  /** Whether one answer may have several calls. Default true. */
  readonly parallel_tool_calls?: boolean | null;
  /** `text`, `json_object`, or `json_schema`: what cannot be enforced of a schema is refused, `strict` or not. */
  readonly response_format?: {
    readonly type: string;
    /** `schema` may be an object of zod and its like, as of a constraint. */
    readonly json_schema?: { readonly schema?: object };
  };
  /**
   * No field of OpenAI's: `onUnsupported` of {@link GenerateOptions}. What is left out,
   * `schema_ignored` of the answer names.
   */
  readonly on_unsupported?: 'error' | 'ignore' | null;
  /** No field of OpenAI's: see {@link SchemaLimits}. */
  readonly limits?: SchemaLimits | null;
  /** Given to the chat template under this name; `none` asks the model not to think. */
  readonly reasoning_effort?: string | null;
  /** Further variables of the chat template, as some servers take them: `{ enable_thinking: false }`. */
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>>;
}

export interface CompletionRequest extends CommonRequest {
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[] | null;
  /** What stands behind the text: the answer fills the gap between the two. */
  readonly suffix?: string | null;
  /** Alternatives to tell beside each token. */
  readonly logprobs?: number | null;
  /** Puts the prompt before the text. */
  readonly echo?: boolean | null;
}

export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** How many of the prompt were in the KV cache already. */
  prompt_tokens_details: { cached_tokens: number };
  /** Of the first answer: weft's own, no field of OpenAI's. */
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
  /** `arguments` is JSON, as the model wrote it. */
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
      /** What the model thought before it answered: no field of OpenAI's, but what servers of open models call it. */
      reasoning_content?: string;
    };
    finish_reason: ChatFinishReason;
    logprobs: ChatLogprobs | null;
    /** What of the schemas was not enforced; only where there is any. */
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

/** A call comes with its name, its arguments follow. */
export interface ToolCallDelta {
  /** Of the call, in the answer. */
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
    /** In the last chunk: what of the schemas was not enforced; only where there is any. */
    schema_ignored?: readonly IgnoredKeyword[];
    logprobs: ChatLogprobs | null;
  }[];
  /** In the last chunk, which has no choices, where `include_usage` asks for it. */
  usage?: CompletionUsage | null;
}

export interface TextLogprobs {
  tokens: string[];
  token_logprobs: number[];
  top_logprobs: Record<string, number>[];
  /** In UTF-16 units from the start of the text. */
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

/** A chunk of a streamed one: before the last of each choice `finish_reason` is empty, as OpenAI's servers have it. */
export interface CompletionChunk extends Omit<Completion, 'choices' | 'usage'> {
  choices: { index: number; text: string; finish_reason: 'stop' | 'length' | null; logprobs: TextLogprobs | null }[];
  usage?: CompletionUsage | null;
}

export interface EmbeddingRequest {
  readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  readonly model?: string;
  /** Default `float`. */
  readonly encoding_format?: 'float' | 'base64';
}

export interface CreateEmbeddingResponse {
  object: 'list';
  model: string;
  /** `embedding` is a string where `base64` was asked for. */
  data: { object: 'embedding'; index: number; embedding: number[] }[];
  usage: { prompt_tokens: number; total_tokens: number };
}

export interface Embeddings {
  /** A vector a text, of models that `info.tasks` says can. */
  create(request: EmbeddingRequest, options?: RequestOptions): Promise<CreateEmbeddingResponse>;
}

export interface ChatCompletions {
  /** Chunks as they come; `break` ends the answer. */
  create(
    request: ChatCompletionRequest & { readonly stream: true },
    options?: RequestOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  /** The whole answer. */
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
