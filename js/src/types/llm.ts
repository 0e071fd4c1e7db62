/** A loaded model. */

import type { ChatOptions, Message } from './chat.js';
import type { Generation, TextOptions, TokenIds, TokenizeOptions } from './generate.js';
import type { ModelInfo } from './info.js';
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
  /** Answers the conversation, formatted by the model's own chat template. */
  (messages: readonly Message[], options?: ChatOptions): Generation;
  /** The same, asked and answered in OpenAI's shape. */
  readonly completions: ChatCompletions;
}

/**
 * A loaded model. Generations queue in the order in which they begin, and those of several tabs
 * take turns; `break` or the signal ends one without harm to the others. Wrong arguments throw at
 * once.
 */
export interface Llm {
  /** What is loaded, as of now: the engine is another one after a GPU was lost. */
  readonly info: ModelInfo;
  /**
   * Continues the text, or its token ids. Special tokens in a text are plain text. A model whose
   * file has no tokenizer (`none`, `no_vocab`) takes ids alone, and its pieces have an `id` and no
   * text; for whatever needs text it is an `UNSUPPORTED_TOKENIZER` error.
   */
  generate(prompt: string | TokenIds, options?: TextOptions): Generation;
  /** Answers a conversation. */
  readonly chat: Chat;
  /** A conversation that goes on: each turn computes only what is new. */
  session(options?: SessionOptions): Session;
  /** A session that was saved, also in another page. Errors: `INVALID_SESSION` where it is none, or one of another model. */
  restore(saved: Uint8Array | ArrayBuffer): Promise<Session>;
  /** Continues a text, asked and answered in OpenAI's shape. */
  readonly completions: Completions;
  /** `embed` in OpenAI's shape. */
  readonly embeddings: Embeddings;
  /** A vector a text, of models that `info.tasks` says can. */
  embed(texts: readonly string[], options?: EmbedOptions): Promise<Float32Array[]>;
  /** The documents by how well they answer the query, the best first: with a cross-encoder of one label. */
  rerank(query: string, documents: readonly string[], options?: EncodeOptions): Promise<RankedDocument[]>;
  /** The labels of a text, the likeliest first: with an encoder, which has labels of its own. */
  classify(text: string, options?: ClassifyOptions): Promise<LabelScore[]>;
  /**
   * These labels, the likeliest first: with a decoder, by how likely each is its answer. `logit` is that in nats, and `score` the
   * probability among the labels.
   */
  classify(text: string, labels: readonly string[], options?: LabelOptions): Promise<LabelScore[]>;
  /** How likely a decoder finds a text. */
  score(text: string | readonly number[], options?: ScoreOptions): Promise<Score>;
  /** Answers `n` times and takes the best: by `scorer`, or the likeliest, by the mean over its tokens. */
  bestOf(n: number, scorer?: Scorer): BestOf;
  /** The likeliest label of each token: names, for example. */
  classifyTokens(text: string, options?: EncodeOptions): Promise<TokenLabel[]>;
  /** For each `info.maskToken` of the text its likeliest tokens, the best first. */
  fillMask(text: string, options?: FillMaskOptions): Promise<Filling[][]>;
  tokenize(text: string, options?: TokenizeOptions): Promise<number[]>;
  detokenize(ids: TokenIds): Promise<string>;
  /**
   * Frees the worker, the GPU and all memory; of a shared model, when no tab uses it any more. Running generations end with reason
   * `abort`; later calls fail with `DISPOSED`.
   */
  dispose(): void;
}
