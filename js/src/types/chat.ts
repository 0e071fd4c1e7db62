/** Conversations and tools. */

import type { GenerateOptions } from './generate.js';

/** What the model's chat template reads beside the messages. */
export interface ChatOptions extends GenerateOptions {
  /** Exchanges that show what is wanted (few-shot prompting): turns before the conversation's own, behind its system message. */
  examples?: readonly Example[];
  /**
   * Whether the model should think before it answers. What a model that was trained for it thinks comes as `reasoning`, not as text. `off` asks
   * it not to; `step-by-step` asks every model for its steps, which are part of the text where the model was not trained to think.
   * Default `auto`: as its template has it.
   */
  reasoning?: 'auto' | 'off' | 'step-by-step';
  /** Functions that the model may call, described as OpenAI does. Where the template has no place for them, a system message describes them. */
  tools?: readonly ToolDescription[];
  /** Whether the answer may or must be a call. Default `auto`. */
  toolChoice?: ToolChoice;
  /** Whether one answer may have several calls. Default true. */
  parallelToolCalls?: boolean;
  /** Further variables of the template, `enable_thinking` for example. */
  variables?: Readonly<Record<string, unknown>>;
  /**
   * Name of the chat template, for a model that has several, such as `rag`, which reads
   * `variables.documents`. Default: `tool_use` where there are `tools` and the model has it, else
   * the model's default.
   */
  template?: string;
}

/** A question and the answer that it should get. */
export interface Example {
  readonly user: string;
  readonly assistant: string;
  /** How the answer is found, for models that think. */
  readonly reasoning?: string;
}

/**
 * `none` hides the tools; with `required` the answer is calls, with a name one call of that tool.
 * With `allowed` only these tools can be called; `required` says whether the answer must be calls
 * of them.
 */
export type ToolChoice =
  | 'auto'
  | 'none'
  | 'required'
  | { readonly name: string }
  | { readonly allowed: readonly string[]; readonly required?: boolean };

export interface ToolDescription {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string;
    /** A JSON Schema of the arguments. */
    readonly parameters?: Readonly<Record<string, unknown>>;
    /** Whether arguments always fit the schema, also where the model chose to call. Where it must call they do anyway. */
    readonly strict?: boolean | null;
  };
}

/** A part of a message. */
export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

export interface Message {
  /** One of `info.roles`. */
  readonly role: 'system' | 'user' | 'assistant' | 'tool' | (string & {});
  /** Text, or parts of one; null in a message that only calls tools. */
  readonly content: string | readonly TextPart[] | null;
  readonly name?: string;
  /** Calls that the model made, as its template reads them: most want `arguments` as an object. */
  readonly tool_calls?: readonly unknown[];
  /** In a message of role `tool`: which call it answers. */
  readonly tool_call_id?: string;
  readonly reasoning_content?: string;
}
