/** What a model is told of a conversation: its ids, and what must go where they do not fit. */

import { WeftError } from '../common/errors.js';
import type { Conversation, KvCache, PlainMessage, Prompt, StartOptions } from '../common/protocol.js';
import type { Generation, ModelInfo } from '../types/index.js';
import type { Dropped, Overflow } from '../types/session.js';

/** What a session asks of its model. */
export interface SessionModel {
  readonly info: ModelInfo;
  /** The ids of a conversation: those of `known` as far as they spell the same. */
  prompt(conversation: Conversation, known: readonly number[]): Promise<number[]>;
  /** `cache`: to be written before. */
  generate(prompt: Prompt, options: StartOptions, signal: AbortSignal, cache: KvCache | undefined): Generation;
  /** `restored`: as in {@link State}. */
  readCache(ids: readonly number[], restored: number | undefined): Promise<KvCache['layers']>;
}

/** What of a session never changes. */
export interface Rules {
  readonly overflow: Overflow;
  /** How many of the first messages are never dropped. */
  readonly keep: number;
  readonly template: Omit<Conversation, 'messages'>;
}

/** Where a session is. It is never changed but replaced, so that a fork has it too, and a turn that fails leaves it. */
export interface State {
  readonly messages: readonly PlainMessage[];
  /** Of what the model was told: the prompt and its own ids, with the tokens that were dropped. */
  readonly ids: readonly number[];
  readonly dropped: Dropped;
  /** Behind how many of `ids` tokens are dropped, once it is known. */
  readonly behind?: number;
  /** What was saved, until it is written back. */
  readonly cache?: KvCache;
  /**
   * Under which number it is written back: nobody else goes on from keys and values that only a
   * file vouches for.
   */
  readonly restored?: number;
}

/** What comes after the messages: nothing where they are complete, else an answer with that beginning. */
export interface Ending {
  readonly complete: boolean;
  readonly prefix: string;
}

/** The ids as the model gets them. */
export function promptOf({ ids, dropped: { tokens }, behind = 0 }: State): readonly number[] {
  return tokens === 0 ? ids : [...ids.slice(0, behind), ...ids.slice(behind + tokens)];
}

/** The ids of the messages that are not dropped. */
export function render(
  model: SessionModel,
  { keep, template }: Rules,
  { messages, ids, dropped }: State,
  ending: Ending,
): Promise<number[]> {
  const told = [...messages.slice(0, keep), ...messages.slice(keep + dropped.messages)];
  return model.prompt({ messages: told, ...template, ...ending }, ids);
}

/**
 * The state with further messages, and `room` tokens for an answer where whole turns may go for it. Errors: `CONTEXT_OVERFLOW` under `shift` where the
 * new messages alone do not fit; else the generation finds out.
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
      return shift(model, rules, state, longer, ending);
  }
}

/** Drops turns that are older than message `last`, as few as will do. */
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
    if (ids.length + room <= model.info.contextLength || from >= last) return { ...state, ids, dropped };
    dropped = { ...dropped, messages: turnAfter(state.messages, from, last) - rules.keep };
  }
}

/** The message with which the turn behind that of message `from` begins. */
function turnAfter(messages: readonly PlainMessage[], from: number, last: number): number {
  const begins = (index: number) => messages[index]?.role === 'user' && messages[index - 1]?.role !== 'user';
  let next = from + 1;
  while (next < last && !begins(next)) next += 1;
  return next;
}

/** Where there is no room for a token of an answer, leaves half of the context, or what is new if that is more. */
async function shift(model: SessionModel, rules: Rules, state: State, longer: State, ending: Ending): Promise<State> {
  const context = model.info.contextLength;
  const behind = state.behind ?? (await keptTokens(model, rules, state));
  const ids = await render(model, rules, longer, ending);
  const fresh = ids.length - Math.max(behind, sharedPrefix(await idsBefore(model, rules, state), ids));
  if (behind + fresh >= context) {
    const needed = `the messages that are kept and the new ones need ${behind + fresh + 1} tokens`;
    throw new WeftError(
      'CONTEXT_OVERFLOW',
      `${needed}, and the context holds ${context}: shorten what is new, or load with a larger contextLength`,
    );
  }
  let { tokens } = state.dropped;
  if (ids.length - tokens >= context) {
    tokens = ids.length - behind - Math.max(fresh, Math.floor((context - behind) / 2));
  }
  // a template may leave out later what it told first, such as reasoning
  tokens = Math.min(tokens, Math.max(0, ids.length - behind - fresh));
  return { ...longer, ids, behind, dropped: { ...state.dropped, tokens } };
}

/** How many ids the messages that are kept have, with what the template puts before the next one. */
async function keptTokens(model: SessionModel, rules: Rules, { messages }: State): Promise<number> {
  const kept = messages.slice(0, rules.keep);
  const [one = [], other = []] = await Promise.all(
    ['a', 'b'].map((content) =>
      model.prompt({ messages: [...kept, { role: 'user', content }], ...rules.template, complete: true }, []),
    ),
  );
  return sharedPrefix(one, other);
}

/** Those of a conversation that was never told are looked up; a template that refuses it so will say so with the next message. */
async function idsBefore(model: SessionModel, rules: Rules, state: State): Promise<readonly number[]> {
  if (state.ids.length > 0 || state.messages.length === 0) return state.ids;
  return render(model, rules, state, { complete: true, prefix: '' }).catch(() => []);
}

function sharedPrefix(a: readonly number[], b: readonly number[]): number {
  const end = a.findIndex((id, index) => id !== b[index]);
  return end < 0 ? a.length : end;
}
