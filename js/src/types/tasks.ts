/** Vectors, labels, scores and rankings of texts. */

import type * as wasm from '../../generated/weft-types.js';
import type { AdapterChoice } from './adapters.js';
import type { ChatOptions, Message } from './chat.js';
import type { Finish, TextOptions, TokenIds } from './generate.js';

export type { Filling, LabelScore, Pooling, TokenLabel } from '../../generated/weft-types.js';

export interface EncodeOptions {
  /**
   * Cuts off the end of a text that is too long, instead of failing with `CONTEXT_OVERFLOW`.
   * Default false.
   */
  truncate?: boolean;
  /** Stops between two texts; the promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface EmbedOptions extends Omit<wasm.EmbedOptions, 'truncate'>, EncodeOptions {
  /**
   * What the vectors are for: a name of `info.prompts`, `query` for example. Its prompt comes
   * before each text. Default: none.
   */
  task?: string;
  /** Adapters of a decoder that was trained for embeddings. Default: none, but for merged ones. */
  adapter?: AdapterChoice;
}

export interface ClassifyOptions extends EncodeOptions {
  /**
   * Second text, for models that compare two: the hypothesis in natural language inference, for
   * example.
   */
  pair?: string;
}

export interface FillMaskOptions extends EncodeOptions {
  /** Number of tokens to return for each mask. Default 5. */
  topK?: number;
}

/** How well a document answers a query. */
export interface RankedDocument extends Omit<wasm.LabelScore, 'label'> {
  /** Index in the array of documents. */
  readonly index: number;
}

/** Options for classifying with a decoder. */
export interface LabelOptions {
  /**
   * Tells the model what the labels mean. Default: an instruction to answer with one label only.
   */
  instruction?: string;
  /** Texts with their labels, as examples. */
  examples?: readonly { readonly text: string; readonly label: string }[];
  /**
   * Divides each probability by the label's probability for the text `N/A`, because models prefer
   * some words to others. Default false.
   */
  calibrate?: boolean;
  /** Adapters that were loaded with `llm.adapters.load`. Default: none, but for merged ones. */
  adapter?: AdapterChoice;
  /** Stops; the promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface ScoreOptions {
  /**
   * Context before the text, which is not scored: a text, token ids, or a conversation that the
   * text answers.
   */
  after?: string | readonly number[] | readonly Message[];
  /** Adapters that were loaded with `llm.adapters.load`. Default: none, but for merged ones. */
  adapter?: AdapterChoice;
  /** Stops; the promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** How likely a model finds a text. */
export interface Score {
  /** Sum over the tokens, in nats. */
  readonly logprob: number;
  /** `exp(-logprob / tokens.length)`; NaN without tokens. */
  readonly perplexity: number;
  /**
   * Every token that has a predecessor: all but the first, or all if a start token or `after` comes
   * before the text.
   */
  readonly tokens: readonly ScoredToken[];
}

export interface ScoredToken {
  readonly id: number;
  /** Text of this token alone, with U+FFFD for incomplete characters. */
  readonly text: string;
  /** Log-probability given everything before it, in nats. */
  readonly logprob: number;
}

/** A whole answer. */
export interface Answer {
  readonly text: string;
  /** Empty if the model did not think. */
  readonly reasoning: string;
  /** Sum over the tokens, in nats, under the model's own distribution. */
  readonly logprob: number;
  readonly finish: Finish;
}

export interface ScoredAnswer extends Answer {
  readonly score: number;
}

/** Rates an answer; more is better. `answers` are all of them, for a majority vote for example. */
export type Scorer = (answer: Answer, answers: readonly Answer[]) => number | Promise<number>;

/**
 * Generates several answers with different seeds and sorts them, best first. Rejects with the
 * signal's reason.
 */
export interface BestOf {
  chat(messages: readonly Message[], options?: ChatOptions): Promise<ScoredAnswer[]>;
  generate(prompt: string | TokenIds, options?: TextOptions): Promise<ScoredAnswer[]>;
}
