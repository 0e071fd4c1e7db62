/**
 * `weft-llm/langchain`: a loaded or remote model for LangChain: `new ChatWeft({ llm })`, `new
 * WeftEmbeddings({ llm })`.
 */

import type { CallbackManagerForLLMRun } from '@langchain/core/callbacks/manager';
import { Embeddings, type EmbeddingsParams } from '@langchain/core/embeddings';
import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from '@langchain/core/language_models/base';
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BaseChatModelParams,
  type BindToolsInput,
} from '@langchain/core/language_models/chat_models';
import type { ModelProfile } from '@langchain/core/language_models/profile';
import {
  assembleStructuredOutputPipeline,
  createContentParser,
  createFunctionCallingParser,
} from '@langchain/core/language_models/structured_output';
import {
  AIMessageChunk,
  type AIMessageChunkFields,
  type BaseMessage,
  type UsageMetadata,
} from '@langchain/core/messages';
import { ChatGenerationChunk, type ChatResult } from '@langchain/core/outputs';
import type { Runnable } from '@langchain/core/runnables';
import { convertToOpenAITool } from '@langchain/core/utils/function_calling';
import { toJsonSchema } from '@langchain/core/utils/json_schema';
import { dataUrl } from './common/data-url.js';
import { invalidOption } from './common/errors.js';
import { checkLlm } from './options/check.js';
import type { AnyCompletionUsage, AnyLlm, RanOn } from './remote/types.js';
import type { EmbedOptions, Llm } from './types/index.js';
import type { ChatCompletionRequest, ChatMessage, ContentPart } from './types/openai.js';

/** Request fields for every call of the model. */
export type ChatWeftRequest = Omit<ChatCompletionRequest, 'messages' | 'stream' | 'stream_options' | 'n'>;

export interface ChatWeftFields extends BaseChatModelParams {
  llm: AnyLlm;
  /** As in `chat.completions.create`: `{ temperature: 0, max_completion_tokens: 200 }`. */
  request?: ChatWeftRequest;
}

/** `request` is for one call; its fields override the model's. */
export interface ChatWeftCallOptions extends BaseChatModelCallOptions {
  tools?: BindToolsInput[];
  response_format?: ChatCompletionRequest['response_format'];
  /** Whether one answer may contain several calls. Default true. */
  parallel_tool_calls?: boolean;
  /**
   * Whether arguments must fit the schemas of all tools even when the model is free to call or not.
   */
  strict?: boolean;
  request?: ChatWeftRequest;
}

type Fields = Record<string, any>;
type Schema<Output extends Fields> = Parameters<typeof createContentParser<Output>>[0];

/**
 * A chat model for LangChain: text, streams, tools. Structured output uses a constraint instead of
 * a call.
 */
export class ChatWeft extends BaseChatModel<ChatWeftCallOptions, AIMessageChunk> {
  readonly llm: AnyLlm;
  readonly request: ChatWeftRequest;

  constructor({ llm, request = {}, ...fields }: ChatWeftFields) {
    super(fields);
    this.llm = checkLlm(llm, 'chat');
    this.request = request;
  }

  static override lc_name(): string {
    return 'ChatWeft';
  }

  override _llmType(): string {
    return 'weft';
  }

  /**
   * Read by LangChain to choose a strategy, by `createAgent` for a `responseFormat` for example.
   */
  override get profile(): ModelProfile {
    const { contextLength } = this.llm.info as { readonly contextLength?: number | null };
    return {
      ...(contextLength ? { maxInputTokens: contextLength } : {}),
      toolCalling: true,
      toolChoice: true,
      structuredOutput: true,
      reasoningOutput: true,
    };
  }

  override bindTools(
    tools: BindToolsInput[],
    more: Partial<ChatWeftCallOptions> = {},
  ): Runnable<BaseLanguageModelInput, AIMessageChunk, ChatWeftCallOptions> {
    return this.withConfig({ ...more, tools });
  }

  override async _generate(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
    manager?: CallbackManagerForLLMRun,
  ): Promise<ChatResult> {
    let whole: ChatGenerationChunk | undefined;
    for await (const chunk of this._streamResponseChunks(messages, options, manager)) {
      whole = whole ? whole.concat(chunk) : chunk;
    }
    if (!whole) return { generations: [] };
    return { generations: [whole], llmOutput: { ...whole.generationInfo } };
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
    manager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const request = {
      ...this.#request(messages, options),
      stream: true,
      stream_options: { include_usage: true },
    } as const;
    for await (const chunk of await this.llm.chat.completions.create(request, { signal: options.signal })) {
      const choice = chunk.choices[0];
      const { content, tool_calls: calls = [], reasoning_content: thought } = choice?.delta ?? {};
      const text = content ?? '';
      const info = {
        ...(choice?.finish_reason ? { finish_reason: choice.finish_reason } : {}),
        ...(choice?.finish_reason && chunk.ran_on ? { ran_on: { ...chunk.ran_on } satisfies RanOn } : {}),
        ...(choice?.schema_ignored ? { schema_ignored: choice.schema_ignored } : {}),
      };
      const usage = usageOf(chunk.usage);
      if (!text && !thought && !calls.length && !choice?.finish_reason && !usage) continue;
      const fields: AIMessageChunkFields = {
        content: text,
        id: chunk.id,
        tool_call_chunks: calls.map(({ index, id, function: called }) => ({
          type: 'tool_call_chunk',
          index,
          ...(id === undefined ? {} : { id }),
          ...(called?.name === undefined ? {} : { name: called.name }),
          ...(called?.arguments === undefined ? {} : { args: called.arguments }),
        })),
        additional_kwargs: thought ? { reasoning_content: thought } : {},
        response_metadata: info,
        // its declared type is `never` under exactOptionalPropertyTypes
        ...(usage ? { usage_metadata: usage as never } : {}),
      };
      const message = new AIMessageChunk(fields);
      const generation = new ChatGenerationChunk({ message, text, generationInfo: info });
      yield generation;
      await manager?.handleLLMNewToken(text, undefined, undefined, undefined, undefined, { chunk: generation });
    }
  }

  /**
   * Constrains the answer by the schema, so that it always fits; the arguments of a call need not.
   */
  override withStructuredOutput<Output extends Fields = Fields>(
    schema: Schema<Output>,
    config?: StructuredOutputMethodOptions<false>,
  ): Runnable<BaseLanguageModelInput, Output>;
  override withStructuredOutput<Output extends Fields = Fields>(
    schema: Schema<Output>,
    config?: StructuredOutputMethodOptions<true>,
  ): Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: Output }>;
  override withStructuredOutput<Output extends Fields = Fields>(
    schema: Schema<Output>,
    config?: StructuredOutputMethodOptions<boolean>,
  ): Runnable<BaseLanguageModelInput, any> {
    if (config?.method === 'functionCalling') return this.#withCall(schema, config);
    const described = toJsonSchema(schema as Parameters<typeof toJsonSchema>[0]);
    const name = config?.name ?? 'answer';
    const format = { type: 'json_schema', json_schema: { name, strict: true, schema: described } };
    const model = this.withConfig({ response_format: format } as Partial<ChatWeftCallOptions>);
    return assembleStructuredOutputPipeline(model, createContentParser<Output>(schema), config?.includeRaw);
  }

  /** Makes the answer a call of a function with this schema. */
  #withCall<Output extends Fields>(
    schema: Schema<Output>,
    { name: given, includeRaw }: StructuredOutputMethodOptions<boolean>,
  ): Runnable<BaseLanguageModelInput, any> {
    // a function as described for OpenAI, or the schema of its arguments
    const { name: described, description, parameters } = schema as Fields;
    const isFunction = typeof described === 'string' && typeof parameters === 'object';
    const name = given ?? (typeof described === 'string' ? described : 'extract');
    const called = {
      name,
      ...(typeof description === 'string' ? { description } : {}),
      parameters: isFunction ? parameters : toJsonSchema(schema as Parameters<typeof toJsonSchema>[0]),
    };
    const model = this.bindTools([{ type: 'function', function: called }], { tool_choice: name });
    return assembleStructuredOutputPipeline(model, createFunctionCallingParser<Output>(schema, name), includeRaw);
  }

  #request(messages: BaseMessage[], options: this['ParsedCallOptions']): ChatCompletionRequest {
    const { tools, tool_choice: choice, response_format: format, stop, strict } = options;
    const { parallel_tool_calls: parallel } = options;
    return {
      ...this.request,
      ...options.request,
      messages: messages.map(messageOf),
      ...(stop?.length ? { stop } : {}),
      ...(format ? { response_format: format } : {}),
      ...(tools?.length ? { tools: tools.map((tool) => toolOf(tool, strict)) } : {}),
      ...(tools?.length && parallel !== undefined ? { parallel_tool_calls: parallel } : {}),
      ...(tools?.length && choice !== undefined ? { tool_choice: choiceOf(choice) } : {}),
    };
  }
}

export interface WeftEmbeddingsFields extends EmbeddingsParams {
  /** A loaded or remote model that computes embeddings. */
  llm: Pick<Llm, 'embed'>;
  /** Options for every call. */
  options?: EmbedOptions;
}

/** Embeddings for LangChain. */
export class WeftEmbeddings extends Embeddings {
  readonly #llm: Pick<Llm, 'embed'>;
  readonly #options: EmbedOptions;

  constructor({ llm, options = {}, ...fields }: WeftEmbeddingsFields) {
    super(fields);
    this.#llm = checkLlm(llm, 'embed');
    this.#options = options;
  }

  override async embedDocuments(documents: string[]): Promise<number[][]> {
    return (await this.#llm.embed(documents, this.#options)).map((vector) => [...vector]);
  }

  override async embedQuery(document: string): Promise<number[]> {
    const [vector = []] = await this.embedDocuments([document]);
    return vector;
  }
}

const ROLES: Readonly<Record<string, ChatMessage['role']>> = {
  human: 'user',
  ai: 'assistant',
  system: 'system',
  developer: 'developer',
  tool: 'tool',
  function: 'function',
};

function messageOf(message: BaseMessage, index: number): ChatMessage {
  const at = `messages[${index}]`;
  const type = message.type === 'generic' ? (message as BaseMessage & { role: string }).role : message.type;
  const role = ROLES[type] ?? (Object.values(ROLES).find((name) => name === type) as ChatMessage['role'] | undefined);
  if (!role) throw invalidOption(`${at}.type`, `one of ${Object.keys(ROLES).join(', ')}`, type);
  const {
    tool_calls: calls,
    tool_call_id: id,
    name,
  } = message as BaseMessage & {
    tool_calls?: readonly { id?: string; name: string; args: unknown }[];
    tool_call_id?: string;
  };
  const content = typeof message.content === 'string' ? message.content : message.content.flatMap(partOf);
  const { reasoning_content: thought } = message.additional_kwargs as { reasoning_content?: unknown };
  return {
    role,
    ...(typeof thought === 'string' ? { reasoning_content: thought } : {}),
    content: calls?.length && content.length === 0 ? null : content,
    ...(name === undefined ? {} : { name }),
    ...(id === undefined ? {} : { tool_call_id: id }),
    ...(calls?.length
      ? {
          tool_calls: calls.map((call, i) => ({
            id: call.id ?? `call_${i}`,
            type: 'function',
            function: { name: call.name, arguments: JSON.stringify(call.args) },
          })),
        }
      : {}),
  };
}

/**
 * Skips calls and reasoning, which are separate from the text. A picture is LangChain's block of
 * this version or the last one, or OpenAI's, which stays as it is.
 */
function partOf(part: { readonly type: string }): ContentPart[] {
  if (['tool_call', 'tool_use', 'reasoning'].includes(part.type)) return [];
  const { url, data, mimeType, mime_type: older } = part as Picture;
  const address = url ?? (data && dataUrl(data, mimeType ?? older ?? 'image'));
  const isPicture = part.type === 'image' && address !== undefined;
  return [isPicture ? ({ type: 'image_url', image_url: { url: address } } as ContentPart) : part];
}

interface Picture {
  readonly type: 'image';
  readonly url?: string;
  readonly data?: string | Uint8Array;
  readonly mimeType?: string;
  readonly mime_type?: string;
}

function toolOf(tool: BindToolsInput, strict: boolean | undefined) {
  const described =
    'function' in tool && tool['type'] === 'function'
      ? (tool as { type: string; function: { name: string } })
      : convertToOpenAITool(tool as Parameters<typeof convertToOpenAITool>[0]);
  return strict === undefined ? described : { ...described, function: { ...described.function, strict } };
}

/** Converts the choice; a name is the name of a function, unless it is a mode. */
function choiceOf(choice: NonNullable<ChatWeftCallOptions['tool_choice']>): unknown {
  if (choice === 'any') return 'required';
  if (typeof choice !== 'string' || ['auto', 'none', 'required'].includes(choice)) return choice;
  return { type: 'function', function: { name: choice } };
}

function usageOf(usage: AnyCompletionUsage | null | undefined): UsageMetadata | undefined {
  if (!usage) return undefined;
  const cached = usage.prompt_tokens_details?.cached_tokens;
  return {
    input_tokens: usage.prompt_tokens,
    output_tokens: usage.completion_tokens ?? 0,
    total_tokens: usage.total_tokens,
    ...(cached === undefined ? {} : { input_token_details: { cache_read: cached } }),
  };
}
