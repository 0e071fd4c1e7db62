/** Conversations that go on, as an app sees them. */

import type { ChatOptions, Message } from './chat.js';
import type { GenerateOptions, Generation } from './generate.js';

/**
 * What happens where a turn does not fit the context any more. `error`: it fails, and the conversation stays as it was.
 * `truncate-oldest-turns`: whole turns go, the oldest first, until there is room for the turn and its answer. `shift`: the older half of the
 * tokens goes, also in the middle of an answer, which has no end then but the model's own or `maxTokens`.
 */
export type Overflow = 'error' | 'truncate-oldest-turns' | 'shift';

/** How a session begins, and how it answers where a turn does not say otherwise. */
export interface SessionOptions extends Omit<ChatOptions, 'signal'> {
  /** Default: none. */
  messages?: readonly Message[];
  /** Default `error`. */
  overflow?: Overflow;
  /** How many of the first messages are never dropped. Default: those of the roles `system` and `developer` that it begins with. */
  keep?: number;
}

/** What the model is not told any more, in all. */
export interface Dropped {
  /** Messages behind those that are kept, by `truncate-oldest-turns`. */
  readonly messages: number;
  /** Tokens behind those of the messages that are kept, by `shift`. */
  readonly tokens: number;
}

/** What a turn says: a text of the user, or messages of any role. */
export type Turn = string | Message | readonly Message[];

export interface SendOptions extends GenerateOptions {
  /** How the answer begins. The pieces are what follows it. */
  prefix?: string;
}

/**
 * A conversation with a model, which computes only what is new of each turn; `usage.cachedTokens` says how much it did not compute. Turns wait
 * for each other. Sessions and other calls take turns with one KV cache: what another one has put there is computed again from where the two
 * differ.
 */
export interface Session {
  /** The whole conversation, with what was dropped of it. */
  readonly messages: readonly Message[];
  /** Tokens of what the model is told of it, as far as it was computed. */
  readonly contextUsage: number;
  /** Tokens that fit. */
  readonly contextLength: number;
  /** By the rule of `overflow`, so far. */
  readonly dropped: Dropped;
  /**
   * Answers. A turn that is stopped stays in the conversation with what was said until then; one that was stopped before that, or that failed,
   * leaves nothing.
   */
  send(turn: Turn, options?: SendOptions): Generation;
  /** Takes messages into the conversation, and computes them, without an answer. Without any, it computes those that are there. */
  append(turn?: Turn, options?: { signal?: AbortSignal }): Promise<void>;
  /** How many tokens a turn would add to `contextUsage`, with the beginning of its answer. */
  measure(turn: Turn, options?: { prefix?: string }): Promise<number>;
  /** A second one that begins where this one is. What they have in common is computed once, while the KV cache has it. */
  fork(): Session;
  /**
   * The conversation and its keys and values, for `llm.restore`, which then computes nothing again. `cache: false` leaves these out, which are
   * by far the most, and lets them be computed. Default true.
   */
  save(options?: { cache?: boolean }): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends what it does; later calls fail with `DISPOSED`. The model stays. */
  dispose(): void;
}
