/** The dictionary types of the Prompt API. */

export type Availability = 'unavailable' | 'downloadable' | 'downloading' | 'available';

export type SamplingMode =
  | 'most-predictable'
  | 'predictable'
  | 'slightly-predictable'
  | 'balanced'
  | 'slightly-creative'
  | 'creative'
  | 'most-creative';

/** `image` needs a model with a projector; `audio` is not supported. */
export type LanguageModelMessageType = 'text' | 'image' | 'audio' | 'tool-call' | 'tool-response';

export interface LanguageModelMessageContent {
  readonly type: LanguageModelMessageType;
  readonly value: unknown;
}

export interface LanguageModelMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string | readonly LanguageModelMessageContent[];
  /** In a prompt's last message, by the assistant: the answer continues it. */
  readonly prefix?: boolean;
}

export type LanguageModelPrompt = string | readonly LanguageModelMessage[];

export interface LanguageModelExpected {
  readonly type: LanguageModelMessageType;
  /** BCP 47 tags. */
  readonly languages?: readonly string[];
}

/** A function that the model can call. It is run automatically. */
export interface LanguageModelTool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments, which are an object. */
  readonly inputSchema: object;
  /**
   * Takes the arguments and returns a string for the model. If it rejects, the prompt rejects with
   * the same error.
   */
  readonly execute: (args: any) => string | Promise<string>;
}

/** Only the defaults are supported. */
export interface Thinking {
  /** Default `none`. */
  readonly effort?: 'none' | 'low' | 'medium' | 'high';
  /** Default false. */
  readonly includeThoughts?: boolean;
}

/** The result of `LanguageModel.params`. */
export interface LanguageModelParams {
  readonly defaultTopK: number;
  readonly maxTopK: number;
  readonly defaultTemperature: number;
  readonly maxTemperature: number;
}

export interface LanguageModelCreateCoreOptions {
  /** `default` means `balanced`. Default `default`. */
  samplingMode?: SamplingMode | 'default';
  /** Deprecated but supported; takes precedence over `samplingMode`. */
  temperature?: number;
  /** Deprecated but supported; takes precedence over `samplingMode`. */
  topK?: number;
  expectedInputs?: readonly LanguageModelExpected[];
  expectedOutputs?: readonly LanguageModelExpected[];
  tools?: readonly LanguageModelTool[];
  thinking?: Thinking;
}

/** Fires `downloadprogress`, with `loaded` from 0 to 1. */
export interface CreateMonitor extends EventTarget {
  ondownloadprogress: ((event: Event & { readonly loaded: number; readonly total: number }) => void) | null;
}

export interface LanguageModelCreateOptions extends LanguageModelCreateCoreOptions {
  /** Aborts the creation, and later ends the session. */
  signal?: AbortSignal;
  monitor?: (monitor: CreateMonitor) => void;
  /** The start of the conversation; never dropped. */
  initialPrompts?: readonly LanguageModelMessage[];
}

export interface LanguageModelPromptOptions {
  /** A JSON Schema or a regular expression. */
  responseConstraint?: object;
  /** Leaves the constraint out of the prompt. Default false. */
  omitResponseConstraintInput?: boolean;
  thinking?: Thinking;
  signal?: AbortSignal;
}
