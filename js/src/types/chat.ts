/** Conversations: messages, tools, and options for answering. */

import type { GenerateOptions } from './generate.js';

/** Options for answering a conversation. */
export interface ChatOptions extends GenerateOptions {
  /**
   * Example exchanges (few-shot prompting). They go after the system message and before the rest of
   * the conversation.
   */
  examples?: readonly Example[];
  /**
   * Whether the model thinks before it answers. Models that were trained to think return this as
   * `reasoning`, separate from the text. `off` asks the model not to think. `step-by-step` asks any
   * model to write down its steps; a model that was not trained to think writes them into the text.
   * Default `auto`: the chat template decides.
   */
  reasoning?: 'auto' | 'off' | 'step-by-step';
  /**
   * Functions that the model may call, described as in OpenAI's API. If the chat template does not
   * support tools, a system message describes them.
   */
  tools?: readonly ToolDescription[];
  /** Whether the answer may or must call tools. Default `auto`. */
  toolChoice?: ToolChoice;
  /** Whether one answer may contain several calls. Default true. */
  parallelToolCalls?: boolean;
  /** More variables for the chat template, `enable_thinking` for example. */
  variables?: Readonly<Record<string, unknown>>;
  /**
   * Name of the chat template, if the model has several; `rag`, for example, reads
   * `variables.documents`. Default: `tool_use` if there are `tools` and the model has it, else the
   * model's default template.
   */
  template?: string;
}

/** Options of {@link Llm.remember}: those of a later chat that the prompt depends on, and: */
export interface RememberOptions extends Pick<
  ChatOptions,
  'examples' | 'reasoning' | 'tools' | 'toolChoice' | 'variables' | 'template' | 'adapter' | 'signal'
> {
  /**
   * Whether it stays until it is deleted. With false it goes when a longer prompt that begins with
   * it is stored, and is counted among those that the model stores by itself, of which the least
   * recently used go: right for a chat that grows. Default true.
   */
  pinned?: boolean;
}

/** A prompt that is remembered. */
export interface Remembered {
  /** Its tokens. */
  readonly tokens: number;
  /** Bytes that were stored for it now; 0 if it was stored before. */
  readonly storedBytes: number;
}

/** An example question with its answer. */
export interface Example {
  readonly user: string;
  readonly assistant: string;
  /** Reasoning that leads to the answer, for models that think. */
  readonly reasoning?: string;
}

/**
 * Which tools the answer may call. `auto`: any or none. `none`: none; the prompt does not mention
 * the tools. `required`: at least one. `{ name }`: this tool, once. `{ allowed }`: only these
 * tools, and at least one of them if `required` is true.
 */
export type ToolChoice =
  | 'auto'
  | 'none'
  | 'required'
  | { readonly name: string }
  | { readonly allowed: readonly string[]; readonly required?: boolean };

/** A function that the model may call. */
export interface ToolDescription {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string;
    /** JSON Schema of the arguments. */
    readonly parameters?: Readonly<Record<string, unknown>>;
    /**
     * Whether the arguments must fit the schema even when the model is free to call or not. When it
     * must call, they always fit.
     */
    readonly strict?: boolean | null;
  };
}

/** A part of a message. */
export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

/** A picture as OpenAI's API has it. */
export interface ImageUrlPart {
  readonly type: 'image_url';
  /** `https:`, `data:` or `blob:`. */
  readonly image_url: string | { readonly url: string; readonly detail?: string };
}

/** A picture as the Prompt API has it. */
export interface ImagePart {
  readonly type: 'image';
  /**
   * A file that the browser can decode, or its bytes, or what a page shows. Of that, what it shows
   * when the message is given.
   */
  readonly value: Blob | BufferSource | ImageData | CanvasImageSource;
}

export interface Message {
  /** One of `info.roles`. */
  readonly role: 'system' | 'user' | 'assistant' | 'tool' | (string & {});
  /**
   * Text, or parts of it; null in a message that only calls tools. Pictures are for chats, of a
   * model that was loaded with a `projector`.
   */
  readonly content: string | readonly (TextPart | ImagePart | ImageUrlPart)[] | null;
  readonly name?: string;
  /**
   * Calls by the model, in the form its template reads. Most templates want `arguments` as an
   * object.
   */
  readonly tool_calls?: readonly unknown[];
  /** In a message of the role `tool`: the call that it answers. */
  readonly tool_call_id?: string;
  readonly reasoning_content?: string;
}
