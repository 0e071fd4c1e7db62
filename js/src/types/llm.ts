/** A loaded model and its methods. */

import type { Adapters } from './adapters.js';
import type { ChatOptions, Message, Remembered, RememberOptions } from './chat.js';
import type { Generation, TextOptions, TokenIds, TokenizeOptions } from './generate.js';
import type { ModelInfo } from './info.js';
import type { Inspection, InspectOptions, NearestOptions, NearToken } from './inspect.js';
import type { ChatCompletions, Completions, Embeddings } from './openai.js';
import type { Session, SessionOptions } from './session.js';
import type {
  BestOf,
  ClassifyOptions,
  EmbedOptions,
  EncodeOptions,
  FillMaskOptions,
  Filling,
  LabelOptions,
  LabelScore,
  RankedDocument,
  Score,
  ScoreOptions,
  Scorer,
  TokenLabel,
} from './tasks.js';

export interface Chat {
  /** Answers a conversation, formatted by the model's chat template. */
  (messages: readonly Message[], options?: ChatOptions): Generation;
  /** The same in OpenAI's format. */
  readonly completions: ChatCompletions;
}

/**
 * A loaded model. Its generations run at once, one token of each in turn: up to four of a tab and
 * eight in all; the others wait in the order in which they start. Stopping one, by `break` or its
 * signal, does not affect the others. Invalid arguments throw at once.
 */
export interface Llm {
  /** The current state; the engine can change after a GPU was lost. */
  readonly info: ModelInfo;
  /**
   * Continues a text or its token ids. Names of special tokens in a text are plain text. A model
   * file without a tokenizer (`none`, `no_vocab`) takes ids only, and its pieces have ids but no
   * text; everything that needs text fails with `UNSUPPORTED_TOKENIZER`.
   */
  generate(prompt: string | TokenIds, options?: TextOptions): Generation;
  /** LoRA adapters, which a call names with `adapter`. */
  readonly adapters: Adapters;
  /** Answers a conversation. */
  readonly chat: Chat;
  /**
   * Computes a prompt and keeps it in the browser's store, so that this page and later visits need
   * not compute it again: a text, its ids, or a conversation, whose last turn may differ later.
   * Needs `prefixCache: { persist: true }`. Errors: `QUOTA_EXCEEDED`, `NOT_SUPPORTED` where the
   * browser stores nothing.
   */
  remember(prompt: string | TokenIds | readonly Message[], options?: RememberOptions): Promise<Remembered>;
  /** Starts a conversation in which each turn computes only its new tokens. */
  session(options?: SessionOptions): Session;
  /**
   * Restores a saved session, in another page too. The adapters that it names are loaded before.
   * Errors: `INVALID_SESSION` if the data is not a session, or belongs to another model or adapter.
   */
  restore(saved: Uint8Array | ArrayBuffer): Promise<Session>;
  /** Continues a text, in OpenAI's format. */
  readonly completions: Completions;
  /** `embed` in OpenAI's format. */
  readonly embeddings: Embeddings;
  /** Turns each text into a vector. */
  embed(texts: readonly string[], options?: EmbedOptions): Promise<Float32Array[]>;
  /**
   * Sorts documents by how well they answer the query, best first. Needs a cross-encoder with one
   * label.
   */
  rerank(query: string, documents: readonly string[], options?: EncodeOptions): Promise<RankedDocument[]>;
  /** Classifies a text with an encoder's own labels; most likely first. */
  classify(text: string, options?: ClassifyOptions): Promise<LabelScore[]>;
  /**
   * Classifies a text with a decoder and labels of the app; most likely first. `logit` is the
   * log-probability of the label as the answer, in nats; `score` is its probability among the
   * labels.
   */
  classify(text: string, labels: readonly string[], options?: LabelOptions): Promise<LabelScore[]>;
  /** Computes how likely a decoder finds a text. */
  score(text: string | readonly number[], options?: ScoreOptions): Promise<Score>;
  /**
   * Generates `n` answers and sorts them by `scorer`. Default: by the mean log-probability of their
   * tokens.
   */
  bestOf(n: number, scorer?: Scorer): BestOf;
  /** Returns the most likely label of each token, for named entities for example. */
  classifyTokens(text: string, options?: EncodeOptions): Promise<TokenLabel[]>;
  /** Returns the most likely tokens for each `info.maskToken` in the text, best first. */
  fillMask(text: string, options?: FillMaskOptions): Promise<Filling[][]>;
  /**
   * Looks inside the model while it reads a text, its ids or a conversation: attention, residual
   * streams, what each layer would say, the next token stage by stage, experts, times. Goes on
   * beside generations, one layer in turn, and does not change what they say. Of an encoder,
   * `attention` and `hiddenStates` can be seen.
   */
  inspect(prompt: string | TokenIds | readonly Message[], options?: InspectOptions): Promise<Inspection>;
  /**
   * Returns the tokens whose embeddings point most nearly in the same direction (cosine), best
   * first. `token`: an id, or a text that is one token. Cost: reads the whole embedding table back,
   * in pieces. Errors: `UNSUPPORTED_TASK` for an encoder.
   */
  nearestTokens(token: number | string, options?: NearestOptions): Promise<NearToken[]>;
  tokenize(text: string, options?: TokenizeOptions): Promise<number[]>;
  detokenize(ids: TokenIds): Promise<string>;
  /**
   * Frees the worker, the GPU and all memory; a shared model, once no tab uses it. Running
   * generations end with the reason `abort`; later calls fail with `DISPOSED`.
   */
  dispose(): void;
}
