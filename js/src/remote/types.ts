/** The types of `weft-llm/remote`: one interface for a model, wherever it runs. */

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
  /** The model's name there. */
  readonly model: string;
  /** If it had to run on a server: why, as a sentence. Else null. */
  readonly reason: string | null;
}

/** A figure is null if the server does not report it. The page measures the times. */
export type AnyUsage = { readonly [Figure in keyof Usage]: Usage[Figure] | null };

export interface AnyFinish extends Omit<Finish, 'usage'> {
  readonly usage: AnyUsage;
  readonly ranOn?: RanOn;
}

/**
 * One step of an answer. The texts of all pieces make the answer. Pieces from a server have no
 * token id.
 */
export interface AnyPiece {
  readonly text: string;
  /** Reasoning before the answer. */
  readonly reasoning?: string;
  readonly id: number | null;
  readonly finish: AnyFinish | null;
}

/** The fields that all servers report. */
export interface AnyCompletionUsage {
  prompt_tokens: number;
  completion_tokens?: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number } | null;
}

/** An answer or chunk in OpenAI's format. `ran_on` is weft's own field. */
export type AnyAnswer<Answer> = Omit<Answer, 'usage'> & { usage?: AnyCompletionUsage | null; ran_on?: RanOn };

export type Placed<Answer> = Answer & { ran_on: RanOn };

/** A `create` method, for whole answers and for chunks. */
export interface Creates<Request, Answer, Chunk> {
  create(request: Request & { readonly stream: true }, options?: RequestOptions): Promise<AsyncIterable<Chunk>>;
  create(request: Request & { readonly stream?: false | null }, options?: RequestOptions): Promise<Answer>;
  create(request: Request, options?: RequestOptions): Promise<Answer | AsyncIterable<Chunk>>;
}

/** What is known of a model wherever it runs. */
export interface AnyInfo {
  readonly name: string;
  readonly tasks: readonly Task[];
  /** Null if the server does not report it. */
  readonly contextLength: number | null;
}

/**
 * A model that runs in the page, on a server, or on either. An app written for this interface works
 * with all three.
 */
export interface AnyLlm {
  readonly info: AnyInfo;
  /** Continues a text or its token ids. */
  generate(prompt: string | TokenIds, options?: TextOptions): Generation<AnyPiece>;
  readonly chat: {
    /** Answers a conversation. */
    (messages: readonly Message[], options?: ChatOptions): Generation<AnyPiece>;
    readonly completions: Creates<ChatCompletionRequest, AnyAnswer<ChatCompletion>, AnyAnswer<ChatCompletionChunk>>;
  };
  readonly completions: Creates<CompletionRequest, AnyAnswer<Completion>, AnyAnswer<CompletionChunk>>;
  dispose(): void;
}

/** An {@link AnyLlm} whose answers say where they were computed. */
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
  /** Base URL of the server's API, `http://localhost:8080/v1` for example. */
  baseURL: string | URL;
  /** Default: the first model that the server lists. */
  model?: string;
  /**
   * Sent as a bearer token. Visitors of a page can read it: keep a key that costs money on a server
   * of your own.
   */
  apiKey?: string;
  /** More headers for every request. */
  headers?: Readonly<Record<string, string>>;
  /** Replaces the browser's `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Stops {@link remote}, which then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface RemoteInfo extends AnyInfo {
  readonly baseURL: string;
}

/**
 * A model on a server. Sampling options that are not given have the server's defaults. Calls that
 * need a loaded model fail with `INVALID_OPTION`.
 */
export interface RemoteLlm extends PlacedLlm {
  readonly info: RemoteInfo;
  readonly embeddings: Embeddings;
  /** Turns each text into a vector. */
  embed(texts: readonly string[], options?: Pick<EmbedOptions, 'normalize' | 'signal'>): Promise<Float32Array[]>;
  /** Stops running calls; later calls fail with `DISPOSED`. */
  dispose(): void;
}

/**
 * Why a call would go to the server. `unfit`: the model does not fit this device or does not run on
 * it. `too-long`: the prompt does not fit the context. `failed`: loading or the engine failed. An
 * invalid call is never sent to the server.
 */
export type Cause = 'unfit' | 'too-long' | 'failed';

export interface HybridOptions {
  /** A model to load, or a loaded model. */
  local: LoadOptions | Llm;
  /** A server, which is contacted only when it is needed, or a model on a server. */
  remote: RemoteOptions | RemoteLlm;
  /**
   * The causes for which a call may go to the server, or a function that decides it each time
   * before any data leaves the device. For any other cause the error is thrown.
   */
  when: readonly Cause[] | ((cause: Cause, error: WeftError) => boolean | Promise<boolean>);
}

export interface HybridInfo extends AnyInfo {
  /** Null if no model could be loaded. */
  readonly local: ModelInfo | null;
  /** Null until the server is needed. */
  readonly remote: RemoteInfo | null;
  /** If no model could be loaded: why, as a sentence. Else null. */
  readonly reason: string | null;
}

/**
 * A loaded model with a server for what it cannot do. Every answer says where it was computed.
 * There is no `embed`, because vectors of different models cannot be compared.
 */
export interface HybridLlm extends PlacedLlm {
  readonly info: HybridInfo;
  /** Disposes both models. */
  dispose(): void;
}
