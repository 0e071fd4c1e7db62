/** Sessions: conversations that go on. */

import type { ChatOptions, Message } from './chat.js';
import type { GenerateOptions, Generation } from './generate.js';

/**
 * What to do when a turn no longer fits the context. `error`: the turn fails and the conversation
 * stays as it was. `truncate-oldest-turns`: whole turns are dropped, oldest first, until the turn
 * and its answer fit. `shift`: the older half of the tokens is dropped, even in the middle of an
 * answer; an answer then ends only when the model ends it or at `maxTokens`. `sinks`: the same, but
 * no message is kept, only the first four tokens, to which models attend whatever they are
 * (attention sinks).
 */
export type Overflow = 'error' | 'truncate-oldest-turns' | 'shift' | 'sinks';

/** How a session starts, and the default options of its turns. */
export interface SessionOptions extends Omit<ChatOptions, 'signal'> {
  /** Default: none. */
  messages?: readonly Message[];
  /** Default `error`. */
  overflow?: Overflow;
  /**
   * Number of first messages that are never dropped. Default: the leading messages of the roles
   * `system` and `developer`. Not with the overflow `sinks`.
   */
  keep?: number;
}

/** What was dropped from the model's context so far. */
export interface Dropped {
  /** Messages after the kept ones, dropped by `truncate-oldest-turns`. */
  readonly messages: number;
  /** Tokens after those of the kept messages, or after the first four: of `shift`, of `sinks`. */
  readonly tokens: number;
}

/** A turn: text of the user, or messages of any role. */
export type Turn = string | Message | readonly Message[];

export interface SendOptions extends GenerateOptions {
  /** Start of the answer. The pieces contain only what follows it. */
  prefix?: string;
}

/**
 * A conversation in which each turn computes only its new tokens; `usage.cachedTokens` says how
 * many were not computed again. The turns of a session wait for each other; different sessions run
 * at once. The KV cache keeps what was used last, as much as `prefixCache` of `load` says: two full
 * contexts unless it says otherwise.
 */
export interface Session {
  /** The whole conversation, including dropped messages. */
  readonly messages: readonly Message[];
  /** Tokens of the conversation in the model's context, as far as they were computed. */
  readonly contextUsage: number;
  /** Maximum number of tokens in the context. */
  readonly contextLength: number;
  readonly dropped: Dropped;
  /**
   * Adds a turn and answers it. A stopped turn stays in the conversation with the answer so far; a
   * turn that was stopped before its answer began, or that failed, is removed.
   */
  send(turn: Turn, options?: SendOptions): Generation;
  /**
   * Adds messages and computes them without an answer. Without messages, computes those there are.
   */
  append(turn?: Turn, options?: { signal?: AbortSignal }): Promise<void>;
  /**
   * Counts the tokens that a turn would add to `contextUsage`, including the start of its answer.
   */
  measure(turn: Turn, options?: { prefix?: string }): Promise<number>;
  /**
   * Returns a second session that continues from here. Their common tokens are computed once, as
   * long as the KV cache holds them.
   */
  fork(): Session;
  /**
   * Saves the conversation with its keys and values for `llm.restore`, which then computes nothing
   * again. `cache: false` leaves out the keys and values, which are most of the data. Default true.
   */
  save(options?: { cache?: boolean }): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends the session; later calls fail with `DISPOSED`. The model stays loaded. */
  dispose(): void;
}
