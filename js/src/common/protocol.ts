/**
 * Messages between the page and the worker: one union for each direction, distinguished by `type`.
 */

import type { Options as SchemaOptions } from '../../generated/weft-grammar-types.js';
import type {
  EmbedOptions,
  GenerateOptions,
  InspectOptions as EngineInspectOptions,
} from '../../generated/weft-types.js';
import type {
  ChatOptions,
  Device,
  Estimate,
  Filling,
  Inspection,
  LabelScore,
  Message,
  ModelInfo,
  KvFormat,
  NearToken,
  Piece,
  Progress,
  Quantize,
  RankedDocument,
  Remembered,
  RopeScaling,
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
import type { ThreadsAsked } from './threads.js';

/** An adapter, and how much of it. */
export interface AdapterUse {
  readonly name: string;
  readonly scale: number;
}

/** Options of a generation: those of the engine, and what surrounds it. */
export interface StartOptions extends Omit<GenerateOptions, 'constrained' | 'infill' | 'ignoreEos'> {
  readonly adapters?: readonly AdapterUse[];
  /** What to look at in each step. */
  readonly inspect?: EngineInspectOptions;
  /** As JSON; null if there is none. */
  readonly constraint: string | null;
  /** How schemas of the constraint and of tools are read. */
  readonly schemas: SchemaOptions;
  /** The seed, unless the caller gave one. */
  readonly entropy: number;
}

/** A picture, as it crosses to the worker. */
export type PictureSource =
  | { readonly type: 'url'; readonly url: string }
  | { readonly type: 'blob'; readonly blob: Blob }
  | { readonly type: 'pixels'; readonly pixels: ImageData };

/** A message with the texts of its parts joined. */
export interface PlainMessage extends Message {
  readonly content: string | null;
  /** Texts and pictures in order, if there are pictures. */
  readonly parts?: readonly (string | PictureSource)[];
}

/** The input of a chat template. */
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
  /**
   * Name of one of the model's templates. Default: the one for tools if there are tools, else the
   * default template.
   */
  readonly template?: string;
  /** Whether no answer follows. */
  readonly complete?: boolean;
  /** Start of the answer. */
  readonly prefix?: string;
  /** The rendered token ids, if they are known; nothing is rendered then. */
  readonly ids?: readonly number[];
  /** The pictures of these ids. */
  readonly pictures?: readonly PictureSource[];
}

/** Keys and values of tokens, layer by layer. */
export interface KvCache {
  readonly ids: readonly number[];
  /** Identifies the adapters that computed them, with their scales; empty without any. */
  readonly adapters: string;
  readonly layers: readonly Float32Array[];
}

/** What the engine tells of a {@link KvCache}. */
export type ReadCache = Pick<KvCache, 'layers' | 'adapters'>;

/** A text, its token ids, or a conversation for the chat template. */
export type Prompt = string | readonly number[] | Conversation;

/** An encoder task on texts. */
export type EncodeTask = { readonly truncate: boolean } & (
  | {
      readonly name: 'embed';
      readonly texts: readonly string[];
      readonly options: Omit<EmbedOptions, 'truncate'>;
    }
  | { readonly name: 'rerank'; readonly query: string; readonly texts: readonly string[] }
  | { readonly name: 'classify'; readonly text: string; readonly pair: string | null }
  | { readonly name: 'classifyTokens'; readonly text: string }
  | { readonly name: 'fillMask'; readonly text: string; readonly topK: number }
);

/** Results of an {@link EncodeTask}, in the order of its kinds. */
export type EncodeResult = Float32Array[] | RankedDocument[] | LabelScore[] | TokenLabel[] | Filling[][];

/** Tokens with a predecessor: the first token of all has no probability. */
export interface ScoredText {
  readonly ids: readonly number[];
  /** Text of each token alone, with U+FFFD for incomplete characters. */
  readonly texts: readonly string[];
  /** In nats; one more if the end of the answer counts. */
  readonly logprobs: readonly number[];
}

/** How the worker of an answer reaches the model that drafts for it. */
export interface DraftPorts {
  /**
   * To the worker of that model: takes a {@link DraftAsk}, and gives the ids of a draft. An empty
   * one is the last.
   */
  readonly asks: MessagePort;
  /** To the page: any message says that no more drafts come. */
  readonly over: MessagePort;
}

export interface DraftAsk {
  /** Tokens of the prompt and the answer so far. */
  readonly ids: Uint32Array;
  /** Largest number of tokens of the draft. */
  readonly most: number;
}

/** A call to the worker. Calls run at once: each takes one step in turn. */
export type Call =
  | {
      readonly type: 'load';
      readonly files: readonly FileSource[];
      /** Null without one. */
      readonly projector: FileSource | null;
      readonly device: Device;
      readonly contextLength: number | null;
      /** Null: as the model's file says. */
      readonly ropeScaling: RopeScaling | null;
      /** Null where the caller leaves it to the worker. */
      readonly threads: number | null;
      /** One for each file, or none. */
      readonly sha256: readonly string[];
      /** Null where the caller leaves it to the worker. */
      readonly quantize: Quantize | null;
      /** Null where the engine decides. */
      readonly kvCache: KvFormat | null;
      readonly prefixCache: {
        /** Null where the engine decides. */
        readonly maxBytes: number | null;
        /** Whether it outlives the page. */
        readonly persist: boolean;
      };
      /** Null if nothing may be stored. */
      readonly store: StoreOptions | null;
      /** The caller's `fetch`, if there is one. */
      readonly fetchPort: MessagePort | null;
      readonly modules: ModuleAddresses;
    }
  | {
      readonly type: 'estimate';
      readonly files: readonly FileSource[];
      readonly contextLength: number | null;
      readonly ropeScaling: RopeScaling | null;
      readonly quantize: Quantize | null;
      readonly kvCache: KvFormat | null;
      readonly store: StoreOptions | null;
      readonly fetchPort: MessagePort | null;
      readonly modules: ModuleAddresses;
    }
  | {
      readonly type: 'generate';
      readonly prompt: Prompt;
      /** Text after the gap that the answer fills. */
      readonly suffix?: string;
      readonly options: StartOptions;
      /** Keys and values to restore first, from another page. */
      readonly cache?: KvCache;
      readonly draft?: DraftPorts;
    }
  /** Drafts for an answer of another model, until it is cancelled or fails. */
  | { readonly type: 'draft'; readonly asks: MessagePort }
  /** Token ids of a conversation; keeps the ids of `known` as far as they spell the same text. */
  | { readonly type: 'prompt'; readonly conversation: Conversation; readonly known: readonly number[] }
  /** Reads a {@link KvCache}. */
  | {
      readonly type: 'readCache';
      readonly ids: readonly number[];
      readonly restored: number | null;
      readonly adapters?: readonly AdapterUse[];
    }
  /** Stores what is computed of a prompt. */
  | {
      readonly type: 'remember';
      readonly prompt: Prompt;
      readonly pinned: boolean;
      readonly adapters?: readonly AdapterUse[];
    }
  | { readonly type: 'encode'; readonly task: EncodeTask; readonly adapters?: readonly AdapterUse[] }
  | {
      readonly type: 'adapter';
      readonly name: string;
      readonly files: readonly FileSource[];
      /** Null if nothing may be stored. */
      readonly store: StoreOptions | null;
      /** The caller's `fetch`, if there is one. */
      readonly fetchPort: MessagePort | null;
    }
  | { readonly type: 'unloadAdapter'; readonly name: string }
  /** What identifies adapters by what they add. */
  | { readonly type: 'adapterFingerprints'; readonly names: readonly string[] }
  /** With a scale of 0 it is no longer merged. */
  | { readonly type: 'mergeAdapter'; readonly name: string; readonly scale: number }
  | {
      readonly type: 'score';
      readonly texts: readonly (string | readonly number[])[];
      /** Context before each of them. */
      readonly after: Prompt | null;
      /** Whether the end of the answer counts too. */
      readonly end: boolean;
      readonly adapters?: readonly AdapterUse[];
    }
  | {
      readonly type: 'inspect';
      readonly prompt: Prompt;
      readonly options: EngineInspectOptions;
      readonly adapters?: readonly AdapterUse[];
    }
  /** `token`: an id, or a text that is one token. */
  | { readonly type: 'nearest'; readonly token: number | string; readonly top: number }
  | { readonly type: 'tokenize'; readonly text: string; readonly addSpecial: boolean; readonly parseSpecial: boolean }
  | { readonly type: 'detokenize'; readonly ids: readonly number[] };

/** What the worker knows of its model. */
export type LoadedInfo = Omit<ModelInfo, keyof Sharing>;

/** What is known when a generation starts. */
export type Started = Pick<Usage, 'promptTokens' | 'cachedTokens'>;

export type LoadCall = Extract<Call, { type: 'load' }>;
export type DraftCall = Extract<Call, { type: 'draft' }>;
export type AdapterCall = Extract<Call, { type: 'adapter' }>;
export type EncodeCall = Extract<Call, { type: 'encode' }>;
export type EstimateCall = Extract<Call, { type: 'estimate' }>;
export type GenerateCall = Extract<Call, { type: 'generate' }>;
export type InspectCall = Extract<Call, { type: 'inspect' }>;
export type NearestCall = Extract<Call, { type: 'nearest' }>;
export type ReadCacheCall = Extract<Call, { type: 'readCache' }>;
export type RememberCall = Extract<Call, { type: 'remember' }>;
export type ScoreCall = Extract<Call, { type: 'score' }>;

export type Request =
  | { readonly type: 'call'; readonly id: number; readonly call: Call }
  /**
   * Stops a running call, and removes a waiting one. A generation then ends with a piece of the
   * reason `abort`.
   */
  | { readonly type: 'cancel'; readonly id: number };

export type Reply =
  | { readonly type: 'progress'; readonly id: number; readonly progress: Progress }
  /** A generation was accepted; its pieces follow. */
  | { readonly type: 'started'; readonly id: number; readonly of: Started }
  | { readonly type: 'piece'; readonly id: number; readonly piece: Piece }
  /** The result of a call that is not a generation. */
  | {
      readonly type: 'result';
      readonly id: number;
      readonly value:
        | LoadedInfo
        | EncodeResult
        | ScoredText[]
        | Inspection
        | NearToken[]
        | Estimate
        | ReadCache
        | string[]
        | Remembered
        | null
        | number[]
        | string;
    }
  /** The model was loaded again. */
  | { readonly type: 'reload'; readonly info: LoadedInfo }
  | { readonly type: 'error'; readonly id: number; readonly error: SerializedError }
  /** The model is gone: loading failed, or the engine crashed. */
  | { readonly type: 'end'; readonly error: SerializedError }
  | { readonly type: 'threads'; readonly asked: ThreadsAsked }
  | Entered;

/**
 * The first message to a shared worker. `life`: name of a lock that the page holds as long as it
 * uses the worker.
 */
export interface Entry {
  readonly type: 'enter';
  readonly life: string;
}

/** The answer: calls are accepted, or this worker has ended. */
export type Entered = { readonly type: 'welcome' | 'ended' };

/** One end of a connection: a Worker, its global scope, or a MessagePort. */
export interface Port<Out, In> {
  postMessage(message: Out, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<In>) => void) | null;
}
