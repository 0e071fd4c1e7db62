/** What else a model does with texts: vectors, labels, scores. */

import type { ChatOptions, Message } from './chat.js';
import type { Finish, TextOptions, TokenIds } from './generate.js';

export type Pooling = 'mean' | 'cls' | 'last';

export interface EncodeOptions {
  /** Whether what is too long for the model is cut off at its end; else that is a `CONTEXT_OVERFLOW` error. Default false. */
  truncate?: boolean;
  /** Stops between two texts; the promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface EmbedOptions extends EncodeOptions {
  /** How the vectors of a text's tokens become one. Default: as the model's file says, else the mean. */
  pooling?: Pooling;
  /** Whether vectors have length 1, so that the product of two is the cosine of the angle between them. Default true. */
  normalize?: boolean;
}

export interface ClassifyOptions extends EncodeOptions {
  /** A second text, for models that compare two: the hypothesis of natural-language inference, for example. */
  pair?: string;
}

export interface FillMaskOptions extends EncodeOptions {
  /** How many tokens for each mask. Default 5. */
  topK?: number;
}

/** How likely a label is. */
export interface LabelScore {
  readonly label: string;
  /** Its probability among all labels; of a model with one label that one's, by the logistic function. */
  readonly score: number;
  /** What the model computed. */
  readonly logit: number;
}

/** How well a document answers the query. */
export interface RankedDocument {
  /** Of the document among those that were given. */
  readonly index: number;
  readonly score: number;
  readonly logit: number;
}

/** The likeliest label of a token. */
export interface TokenLabel extends LabelScore {
  readonly id: number;
  /** Those of all tokens, put together, are the text as the model reads it: many read lower case only. */
  readonly text: string;
}

export interface LabelOptions {
  /** What to tell of the labels. Default: to answer with one of them alone. */
  instruction?: string;
  /** Texts that show what the labels mean. */
  examples?: readonly { readonly text: string; readonly label: string }[];
  /** Divides by how likely each label is for a text that says nothing, since models prefer some words. Default false. */
  calibrate?: boolean;
  /** The promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface ScoreOptions {
  /** What stands before the text and is not scored: a text, its ids, or a conversation that the text answers. */
  after?: string | readonly number[] | readonly Message[];
  /** The promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** How likely a model finds a text. */
export interface Score {
  /** Sum over the tokens, in nats. */
  readonly logprob: number;
  /** `exp(-logprob / tokens.length)`; NaN where there is no token. */
  readonly perplexity: number;
  /** All of them; of a text that nothing stands before, not even a token that begins all texts, all but the first. */
  readonly tokens: readonly ScoredToken[];
}

export interface ScoredToken {
  readonly id: number;
  /** Of the token alone: U+FFFD where it is no whole character. */
  readonly text: string;
  /** In nats, after all that stands before it. */
  readonly logprob: number;
}

/** A whole answer. */
export interface Answer {
  readonly text: string;
  /** Empty where the model did not think. */
  readonly reasoning: string;
  /** Sum over its tokens, in nats, of the model's own distribution. */
  readonly logprob: number;
  readonly finish: Finish;
}

export interface ScoredAnswer extends Answer {
  readonly score: number;
}

/** Says how good an answer is; `answers` are all of them, for a vote. More is better. */
export type Scorer = (answer: Answer, answers: readonly Answer[]) => number | Promise<number>;

/** Several answers, each with a seed of its own. Rejects with the signal's reason. */
export interface BestOf {
  /** The best first. */
  chat(messages: readonly Message[], options?: ChatOptions): Promise<ScoredAnswer[]>;
  /** The best first. */
  generate(prompt: string | TokenIds, options?: TextOptions): Promise<ScoredAnswer[]>;
}

/** What may stand in place of a mask. */
export interface Filling {
  readonly id: number;
  readonly text: string;
  readonly score: number;
}
