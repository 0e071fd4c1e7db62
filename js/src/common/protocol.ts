/** What the page and the worker say to each other: one union each way, matched by `type`. */

import type {
  ChatOptions,
  Device,
  Estimate,
  Filling,
  LabelScore,
  Message,
  ModelInfo,
  Piece,
  Pooling,
  Progress,
  Quantize,
  RankedDocument,
  SamplingOptions,
  Sharing,
  StoreOptions,
  TokenLabel,
  ToolChoice,
  ToolDescription,
  Usage,
} from '../types/index.js';
import type { ModuleAddresses } from './builds.js';
import type { SerializedError } from './errors.js';
import type { FileSource } from './source.js';

export interface StartOptions extends Omit<SamplingOptions, 'logitBias'> {
  readonly logitBias: readonly (readonly [id: number, bias: number])[];
  readonly maxTokens?: number;
  readonly stop: readonly string[];
  readonly topLogprobs?: number;
  readonly keepSpecial: readonly string[];
  /** As JSON; null where anything may be said. */
  readonly constraint: string | null;
  /** How the schemas of the constraint and of tools are read, as JSON. */
  readonly schemas: string;
  /** The seed where the caller gave none. */
  readonly entropy: number;
  /** Ends when the prompt is in the KV cache. */
  readonly prefill?: boolean;
  /** When the context is full, drops the older half of the tokens behind so many first ones, and goes on. */
  readonly shiftBehind?: number;
  /** Whose restored keys and values it may go on from: others' are computed anew. */
  readonly restored?: number;
}

/** A message whose parts are joined. */
export interface PlainMessage extends Message {
  readonly content: string | null;
}

/** What a chat template makes a prompt of. */
export interface Conversation {
  readonly messages: readonly PlainMessage[];
  readonly tools: readonly ToolDescription[] | null;
  /** Default `auto`. */
  readonly toolChoice?: ToolChoice;
  /** Default true. */
  readonly parallelToolCalls?: boolean;
  /** Default `auto`. */
  readonly reasoning?: NonNullable<ChatOptions['reasoning']>;
  readonly variables: Readonly<Record<string, unknown>>;
  /** Name of one of the model's templates; by default that for its tools, or the default one. */
  readonly template?: string;
  /** Whether no answer follows. */
  readonly complete?: boolean;
  /** How the answer begins. */
  readonly prefix?: string;
  /** What the template makes of it, where that is known: nothing is rendered then. */
  readonly ids?: readonly number[];
}

/** Keys and values of tokens, layer by layer. */
export interface KvCache {
  readonly ids: readonly number[];
  readonly layers: readonly Float32Array[];
}

/** A text, the ids of one, or what the chat template makes one of. */
export type Prompt = string | readonly number[] | Conversation;

/** What an encoder does with texts. */
export type EncodeTask = { readonly truncate: boolean } & (
  | {
      readonly name: 'embed';
      readonly texts: readonly string[];
      readonly options: { readonly pooling?: Pooling; readonly normalize: boolean };
    }
  | { readonly name: 'rerank'; readonly query: string; readonly texts: readonly string[] }
  | { readonly name: 'classify'; readonly text: string; readonly pair: string | null }
  | { readonly name: 'classifyTokens'; readonly text: string }
  | { readonly name: 'fillMask'; readonly text: string; readonly topK: number }
);

/** The results of an {@link EncodeTask}, in the same order as its kinds. */
export type EncodeResult = Float32Array[] | RankedDocument[] | LabelScore[] | TokenLabel[] | Filling[][];

/** A text's tokens with a predecessor: the first token of all has no probability. */
export interface ScoredText {
  readonly ids: readonly number[];
  /** The text of each token alone: U+FFFD where it is no whole character. */
  readonly texts: readonly string[];
  /** In nats; one more where the answer's end was asked for too. */
  readonly logprobs: readonly number[];
}

/** What a call wants; the worker runs one at a time. */
export type Call =
  | {
      readonly type: 'load';
      readonly files: readonly FileSource[];
      readonly device: Device;
      readonly contextLength: number | null;
      /** Null where the caller leaves it to the worker. */
      readonly threads: number | null;
      /** One for each file, or none. */
      readonly sha256: readonly string[];
      /** Null where the caller leaves it to the worker. */
      readonly quantize: Quantize | null;
      /** Null where nothing may be stored. */
      readonly store: StoreOptions | null;
      /** The page's own `fetch`, where the caller gave one. */
      readonly fetchPort: MessagePort | null;
      readonly modules: ModuleAddresses;
    }
  | {
      readonly type: 'estimate';
      readonly files: readonly FileSource[];
      readonly contextLength: number | null;
      readonly quantize: Quantize | null;
      readonly store: StoreOptions | null;
      readonly fetchPort: MessagePort | null;
      readonly modules: ModuleAddresses;
    }
  | {
      readonly type: 'generate';
      readonly prompt: Prompt;
      /** What stands behind the gap that the answer fills. */
      readonly suffix?: string;
      readonly options: StartOptions;
      /** To be written before, where it was read in another page. */
      readonly cache?: KvCache;
    }
  /** The ids of a conversation: those of `known` as far as they spell the same. */
  | { readonly type: 'prompt'; readonly conversation: Conversation; readonly known: readonly number[] }
  /** The layers of a {@link KvCache}. */
  | { readonly type: 'readCache'; readonly ids: readonly number[]; readonly restored: number | null }
  | { readonly type: 'encode'; readonly task: EncodeTask }
  | {
      readonly type: 'score';
      readonly texts: readonly (string | readonly number[])[];
      /** What stands before each of them. */
      readonly after: Prompt | null;
      /** Whether the answer's end counts too. */
      readonly end: boolean;
    }
  | { readonly type: 'tokenize'; readonly text: string; readonly addSpecial: boolean; readonly parseSpecial: boolean }
  | { readonly type: 'detokenize'; readonly ids: readonly number[] };

/** What the worker knows of its model. */
export type LoadedInfo = Omit<ModelInfo, keyof Sharing>;

/** What is known of a generation that begins. */
export type Started = Pick<Usage, 'promptTokens' | 'cachedTokens'>;

export type LoadCall = Extract<Call, { type: 'load' }>;
export type EstimateCall = Extract<Call, { type: 'estimate' }>;
export type GenerateCall = Extract<Call, { type: 'generate' }>;
export type ScoreCall = Extract<Call, { type: 'score' }>;

export type Request =
  | { readonly type: 'call'; readonly id: number; readonly call: Call }
  /** Stops the call if it runs, and forgets it if it waits; it then ends with a piece of reason `abort`. */
  | { readonly type: 'cancel'; readonly id: number };

export type Reply =
  | { readonly type: 'progress'; readonly id: number; readonly progress: Progress }
  /** A generation was accepted: its pieces follow. */
  | { readonly type: 'started'; readonly id: number; readonly of: Started }
  | { readonly type: 'piece'; readonly id: number; readonly piece: Piece }
  /** The end of a call that is no generation. */
  | {
      readonly type: 'result';
      readonly id: number;
      readonly value: LoadedInfo | EncodeResult | ScoredText[] | Estimate | KvCache['layers'] | number[] | string;
    }
  /** The model was loaded again. */
  | { readonly type: 'reload'; readonly info: LoadedInfo }
  | { readonly type: 'error'; readonly id: number; readonly error: SerializedError }
  /** The model is gone: its load failed, or the engine crashed. */
  | { readonly type: 'end'; readonly error: SerializedError }
  /** A port from which a {@link SerializedError} comes if a thread crashes, while the worker may be waiting for it. */
  | { readonly type: 'thread'; readonly crash: MessagePort }
  | Entered;

/** The first message to a shared worker. `life`: a lock that is held while the page uses it. */
export interface Entry {
  readonly type: 'enter';
  readonly life: string;
}

/** The answer: calls may come now, or only another worker takes them. */
export type Entered = { readonly type: 'welcome' | 'ended' };

/** An end of the wire: a Worker, its global scope, or a MessagePort. */
export interface Port<Out, In> {
  postMessage(message: Out, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<In>) => void) | null;
}
