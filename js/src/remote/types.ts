/** The contract of `weft-llm/remote`: a model that is asked in the same way wherever it runs. */

import type { WeftError } from '../common/errors.js';
import type {
  ChatOptions,
  EmbedOptions,
  Finish,
  Generation,
  Llm,
  LoadOptions,
  Message,
  ModelInfo,
  Task,
  TextOptions,
  TokenIds,
  Usage,
} from '../types/index.js';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Completion,
  CompletionChunk,
  CompletionRequest,
  Embeddings,
  RequestOptions,
} from '../types/openai.js';

/** Where an answer was computed. */
export interface RanOn {
  readonly where: 'local' | 'remote';
  /** As that place names it. */
  readonly model: string;
  /** Why not on the device, as a sentence; null where it was, or where there was no choice. */
  readonly reason: string | null;
}

/** Null is what a server does not tell. Times are measured here, by the clock of the page. */
export type AnyUsage = { readonly [Figure in keyof Usage]: Usage[Figure] | null };

export interface AnyFinish extends Omit<Finish, 'usage'> {
  readonly usage: AnyUsage;
  readonly ranOn?: RanOn;
}

/** One step of an answer. Concatenated, the texts are the answer; a server tells no token ids. */
export interface AnyPiece {
  readonly text: string;
  /** What the model thinks before its answer. */
  readonly reasoning?: string;
  readonly id: number | null;
  readonly finish: AnyFinish | null;
}

/** Of a server: what all of them tell. */
export interface AnyCompletionUsage {
  prompt_tokens: number;
  completion_tokens?: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number } | null;
}

/** An answer in OpenAI's shape, or a chunk of one. `ran_on` is weft's own field. */
export type AnyAnswer<Answer> = Omit<Answer, 'usage'> & { usage?: AnyCompletionUsage | null; ran_on?: RanOn };

export type Placed<Answer> = Answer & { ran_on: RanOn };

/** `create` of requests, whole answers and chunks. */
export interface Creates<Request, Answer, Chunk> {
  create(request: Request & { readonly stream: true }, options?: RequestOptions): Promise<AsyncIterable<Chunk>>;
  create(request: Request & { readonly stream?: false | null }, options?: RequestOptions): Promise<Answer>;
  create(request: Request, options?: RequestOptions): Promise<Answer | AsyncIterable<Chunk>>;
}

/** What a model says of itself wherever it runs. */
export interface AnyInfo {
  readonly name: string;
  readonly tasks: readonly Task[];
  /** Null where a server does not tell. */
  readonly contextLength: number | null;
}

/**
 * What can be asked of a model wherever it runs: of a loaded one, of a server's, or of whichever of the two can. An app that is
 * written for this takes all three.
 */
export interface AnyLlm {
  readonly info: AnyInfo;
  /** Continues a text, or token ids. */
  generate(prompt: string | TokenIds, options?: TextOptions): Generation<AnyPiece>;
  readonly chat: {
    /** Answers a conversation. */
    (messages: readonly Message[], options?: ChatOptions): Generation<AnyPiece>;
    readonly completions: Creates<ChatCompletionRequest, AnyAnswer<ChatCompletion>, AnyAnswer<ChatCompletionChunk>>;
  };
  readonly completions: Creates<CompletionRequest, AnyAnswer<Completion>, AnyAnswer<CompletionChunk>>;
  dispose(): void;
}

/** {@link AnyLlm} whose answers say where they were computed. */
export interface PlacedLlm extends AnyLlm {
  readonly chat: {
    (messages: readonly Message[], options?: ChatOptions): Generation<AnyPiece>;
    readonly completions: Creates<
      ChatCompletionRequest,
      Placed<AnyAnswer<ChatCompletion>>,
      Placed<AnyAnswer<ChatCompletionChunk>>
    >;
  };
  readonly completions: Creates<CompletionRequest, Placed<AnyAnswer<Completion>>, Placed<AnyAnswer<CompletionChunk>>>;
}

export interface RemoteOptions {
  /** Of the server's API: `http://localhost:8080/v1`, for example. */
  baseURL: string | URL;
  /** Default: the first one that the server lists. */
  model?: string;
  /** Sent as a bearer token. What a page knows, its visitors know: a key that costs money belongs on a server of yours. */
  apiKey?: string;
  /** Further headers of every request. */
  headers?: Readonly<Record<string, string>>;
  /** Fetches in place of the browser's own. */
  fetch?: typeof globalThis.fetch;
  /** Stops {@link remote}, which then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface RemoteInfo extends AnyInfo {
  readonly baseURL: string;
}

/**
 * A model of a server. Sampling options that are not given are the server's own. What only a loaded model can do is an
 * `INVALID_OPTION` that names it.
 */
export interface RemoteLlm extends PlacedLlm {
  readonly info: RemoteInfo;
  readonly embeddings: Embeddings;
  /** A vector a text. */
  embed(texts: readonly string[], options?: Pick<EmbedOptions, 'normalize' | 'signal'>): Promise<Float32Array[]>;
  /** Ends what is under way; later calls fail with `DISPOSED`. */
  dispose(): void;
}

/**
 * Why a server would be asked: `unfit`, the model does not fit this device or does not run on it; `too-long`, the prompt does not fit
 * the context; `failed`, loading or the engine failed. What is wrong with a call itself is no cause.
 */
export type Cause = 'unfit' | 'too-long' | 'failed';

export interface HybridOptions {
  /** What to load here, or what is loaded. */
  local: LoadOptions | Llm;
  /** A server, which is not asked anything before it is needed; or a model of one. */
  remote: RemoteOptions | RemoteLlm;
  /**
   * The causes for which the server may be asked, or a function that is asked each time before anything leaves the device. For any other
   * cause the error is thrown.
   */
  when: readonly Cause[] | ((cause: Cause, error: WeftError) => boolean | Promise<boolean>);
}

export interface HybridInfo extends AnyInfo {
  /** Null where nothing could be loaded. */
  readonly local: ModelInfo | null;
  /** Null while the server was not needed. */
  readonly remote: RemoteInfo | null;
  /** Why nothing is loaded, as a sentence; null where something is. */
  readonly reason: string | null;
}

/**
 * A loaded model, with a server for what it cannot. Every answer says where it was computed. It has no `embed`: vectors of two models
 * cannot be compared.
 */
export interface HybridLlm extends PlacedLlm {
  readonly info: HybridInfo;
  /** Of both models. */
  dispose(): void;
}
