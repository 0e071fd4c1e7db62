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

/** `image` and `audio` are not supported. */
export type LanguageModelMessageType = 'text' | 'image' | 'audio' | 'tool-call' | 'tool-response';

export interface LanguageModelMessageContent {
  /** Only `text` is supported. */
  readonly type: LanguageModelMessageType;
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
  readonly type: LanguageModelMessageType;
  /** BCP 47 tags. */
  readonly languages?: readonly string[];
}

/** A function that the model may call, and which is called for it. */
export interface LanguageModelTool {
  readonly name: string;
  readonly description: string;
  /** A JSON Schema of the arguments, which are an object. */
  readonly inputSchema: object;
  /**
   * Gets the arguments; the model gets what it gives, a string. A prompt whose tool rejects rejects
   * with that error.
   */
  readonly execute: (args: any) => string | Promise<string>;
}

/** Anything but the default is not supported. */
export interface Thinking {
  /** Default `none`. */
  readonly effort?: 'none' | 'low' | 'medium' | 'high';
  /** Default false. */
  readonly includeThoughts?: boolean;
}

/** Of `LanguageModel.params`. */
export interface LanguageModelParams {
  readonly defaultTopK: number;
  readonly maxTopK: number;
  readonly defaultTemperature: number;
  readonly maxTemperature: number;
}

export interface LanguageModelCreateCoreOptions {
  /** `default`, the default, is `balanced`. */
  samplingMode?: SamplingMode | 'default';
  /** Deprecated, and honoured: in the place of `samplingMode`. */
  temperature?: number;
  /** Likewise. */
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
  thinking?: Thinking;
  signal?: AbortSignal;
}
