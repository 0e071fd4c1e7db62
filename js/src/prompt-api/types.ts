/** The dictionaries of the Prompt API. */

export type Availability = 'unavailable' | 'downloadable' | 'downloading' | 'available';

export type SamplingMode =
  | 'most-predictable'
  | 'predictable'
  | 'slightly-predictable'
  | 'balanced'
  | 'slightly-creative'
  | 'creative'
  | 'most-creative';

export interface LanguageModelMessageContent {
  /** Only `text` is supported. */
  readonly type: 'text' | (string & {});
  readonly value: unknown;
}

export interface LanguageModelMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string | readonly LanguageModelMessageContent[];
  /** Of the last message of a prompt, of the assistant: the answer goes on from it. */
  readonly prefix?: boolean;
}

export type LanguageModelPrompt = string | readonly LanguageModelMessage[];

export interface LanguageModelExpected {
  readonly type: 'text' | (string & {});
  readonly languages?: readonly string[];
}

export interface LanguageModelCreateCoreOptions {
  /** Default `balanced`. */
  samplingMode?: SamplingMode;
  /** Deprecated, and honoured: in the place of `samplingMode`. */
  temperature?: number;
  /** Likewise. */
  topK?: number;
  expectedInputs?: readonly LanguageModelExpected[];
  expectedOutputs?: readonly LanguageModelExpected[];
  /** Not supported. */
  tools?: readonly object[];
  /** Not supported but for the effort `none`. */
  thinking?: { readonly effort?: string };
}

/** Fires `downloadprogress`, with `loaded` from 0 to 1. */
export interface CreateMonitor extends EventTarget {
  ondownloadprogress: ((event: Event & { readonly loaded: number; readonly total: number }) => void) | null;
}

export interface LanguageModelCreateOptions extends LanguageModelCreateCoreOptions {
  /** Ends the creation, and the session after it. */
  signal?: AbortSignal;
  monitor?: (monitor: CreateMonitor) => void;
  /** How the conversation begins; never dropped. */
  initialPrompts?: readonly LanguageModelMessage[];
}

export interface LanguageModelPromptOptions {
  /** A JSON Schema, or a regular expression. */
  responseConstraint?: object;
  /** Whether the model is not told of the constraint. Default false. */
  omitResponseConstraintInput?: boolean;
  signal?: AbortSignal;
}
