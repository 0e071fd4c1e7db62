/** Builds the token ids of a conversation, and drops what does not fit. */

import { WeftError } from '../common/errors.js';
import { picturesOf } from '../common/pictures.js';
import type { Conversation, KvCache, PlainMessage, Prompt, ReadCache } from '../common/protocol.js';
import type { CheckedOptions } from '../options/generate.js';
import type { AdapterChoice, Generation, ModelInfo } from '../types/index.js';
import type { Dropped, Overflow } from '../types/session.js';

/** The calls that a session makes to its model. */
export interface SessionModel {
  readonly info: ModelInfo;
  /** Token ids of a conversation; keeps the ids of `known` as far as they spell the same text. */
  prompt(conversation: Conversation, known: readonly number[]): Promise<number[]>;
  /** `cache`: keys and values to restore first. */
  generate(prompt: Prompt, options: CheckedOptions, signal: AbortSignal, cache: KvCache | undefined): Generation;
  /** `restored`: see {@link State}. */
  readCache(
    ids: readonly number[],
    restored: number | undefined,
    adapter: AdapterChoice | undefined,
  ): Promise<ReadCache>;
  /**
   * What identifies adapters by what they add. Errors: `INVALID_OPTION` for one that is not loaded.
   */
  fingerprints(adapters: readonly string[]): Promise<string[]>;
}

/** The fixed rules of a session. */
export interface Rules {
  readonly overflow: Overflow;
  /** Number of first messages that are never dropped. */
  readonly keep: number;
  readonly template: Omit<Conversation, 'messages'>;
}

/**
 * The state of a session. It is replaced, never changed, so that forks can share it and a failed
 * turn can return to it.
 */
export interface State {
  readonly messages: readonly PlainMessage[];
  /** Ids of the prompt and the answer, including dropped tokens. A picture has one. */
  readonly ids: readonly number[];
  /** What pictures take beyond these, as far as they were computed. */
  readonly rows?: number;
  readonly dropped: Dropped;
  /** Number of ids before the dropped tokens, once known. */
  readonly behind?: number;
  /** Saved keys and values, until they are restored. */
  readonly cache?: KvCache;
  /**
   * Owner number of the restored keys and values: no other call may continue from them, because
   * only a file vouches for them.
   */
  readonly restored?: number;
}

/**
 * What follows the messages: nothing if they are complete, else an answer that starts with
 * `prefix`.
 */
export interface Ending {
  readonly complete: boolean;
  readonly prefix: string;
}

/** The ids without dropped ones, as the model gets them. */
export function promptOf({ ids, dropped: { tokens }, behind = 0 }: State): readonly number[] {
  return tokens === 0 ? ids : [...ids.slice(0, behind), ...ids.slice(behind + tokens)];
}

function told({ keep }: Rules, { messages, dropped }: State): readonly PlainMessage[] {
  return [...messages.slice(0, keep), ...messages.slice(keep + dropped.messages)];
}

/** What the model gets. */
export function conversationOf(rules: Rules, state: State): Conversation {
  const pictures = picturesOf(told(rules, state));
  return { messages: [], ...rules.template, ids: promptOf(state), ...(pictures.length > 0 && { pictures }) };
}

/** Ids of the messages that are not dropped. */
export function render(model: SessionModel, rules: Rules, state: State, ending: Ending): Promise<number[]> {
  const { template } = rules;
  return model.prompt({ messages: told(rules, state), ...template, ...ending }, state.ids);
}

/**
 * Adds messages to the state; under `truncate-oldest-turns`, drops turns until there are `room`
 * tokens for an answer. Errors: `CONTEXT_OVERFLOW` under `shift` and `sinks` if the new messages
 * alone do not fit; under the other rules the generation detects it.
 */
export async function extend(
  model: SessionModel,
  rules: Rules,
  state: State,
  added: readonly PlainMessage[],
  ending: Ending,
  room: number,
): Promise<State> {
  const longer: State = { ...state, messages: [...state.messages, ...added] };
  switch (rules.overflow) {
    case 'error':
      return { ...longer, ids: await render(model, rules, longer, ending) };
    case 'truncate-oldest-turns':
      return truncate(model, rules, longer, state.messages.length, ending, room);
    case 'shift':
    case 'sinks':
      return shift(model, rules, state, longer, ending);
  }
}

/** Drops as few turns before message `last` as possible. */
async function truncate(
  model: SessionModel,
  rules: Rules,
  state: State,
  last: number,
  ending: Ending,
  room: number,
): Promise<State> {
  let { dropped } = state;
  for (;;) {
    const ids = await render(model, rules, { ...state, dropped }, ending);
    const from = rules.keep + dropped.messages;
    const needed = ids.length + (state.rows ?? 0) + room;
    if (needed <= model.info.contextLength || from >= last) return { ...state, ids, dropped };
    dropped = { ...dropped, messages: turnAfter(state.messages, from, last) - rules.keep };
  }
}

/** Index of the message that starts the turn after the one of message `from`. */
function turnAfter(messages: readonly PlainMessage[], from: number, last: number): number {
  const begins = (index: number) => messages[index]?.role === 'user' && messages[index - 1]?.role !== 'user';
  let next = from + 1;
  while (next < last && !begins(next)) next += 1;
  return next;
}

/** First tokens that `sinks` keeps, as Xiao et al. do (2023, StreamingLLM, arXiv 2309.17453). */
const SINKS = 4;

/**
 * If no token of an answer fits, drops tokens until half of the context is left, or the new
 * messages if they are longer.
 */
async function shift(model: SessionModel, rules: Rules, state: State, longer: State, ending: Ending): Promise<State> {
  const context = model.info.contextLength;
  const ids = await render(model, rules, longer, ending);
  const sinks = rules.overflow === 'sinks' && Math.min(SINKS, ids.length);
  const behind = state.behind ?? (sinks || (await keptTokens(model, rules, state)));
  const fresh = ids.length - Math.max(behind, sharedPrefix(await idsBefore(model, rules, state), ids));
  if (behind + fresh >= context) {
    const needed = `what is kept and the new messages need ${behind + fresh + 1} tokens`;
    throw new WeftError(
      'CONTEXT_OVERFLOW',
      `${needed}, and the context holds ${context}: shorten what is new, or load with a larger contextLength`,
    );
  }
  let { tokens } = state.dropped;
  if (ids.length - tokens >= context) {
    tokens = ids.length - behind - Math.max(fresh, Math.floor((context - behind) / 2));
  }
  // a template may later leave out what it first included, reasoning for example
  tokens = Math.min(tokens, Math.max(0, ids.length - behind - fresh));
  return { ...longer, ids, behind, dropped: { ...state.dropped, tokens } };
}

/** Number of ids of the kept messages, including what the template puts before the next one. */
async function keptTokens(model: SessionModel, rules: Rules, { messages }: State): Promise<number> {
  const kept = messages.slice(0, rules.keep);
  const [one = [], other = []] = await Promise.all(
    ['a', 'b'].map((content) =>
      model.prompt({ messages: [...kept, { role: 'user', content }], ...rules.template, complete: true }, []),
    ),
  );
  return sharedPrefix(one, other);
}

/**
 * Ids before the new messages. Those of a conversation that was never computed are rendered now; if
 * the template refuses it, the next message will show that.
 */
async function idsBefore(model: SessionModel, rules: Rules, state: State): Promise<readonly number[]> {
  if (state.ids.length > 0 || state.messages.length === 0) return state.ids;
  return render(model, rules, state, { complete: true, prefix: '' }).catch(() => []);
}

function sharedPrefix(a: readonly number[], b: readonly number[]): number {
  const end = a.findIndex((id, index) => id !== b[index]);
  return end < 0 ? a.length : end;
}
