/** A conversation: tracks the ids that the model was given, and handles turns that end early. */

import { Answering } from '../answers/answering.js';
import { Told } from '../answers/told.js';
import { invalidOption, serializeError, WeftError } from '../common/errors.js';
import { picturesOf } from '../common/pictures.js';
import type { PlainMessage, StartOptions } from '../common/protocol.js';
import { anyOf, unlessAborted, untilAborted } from '../common/signals.js';
import { checkNames } from '../options/check.js';
import { checkGenerate, type CheckedOptions } from '../options/generate.js';
import { callRules, type CallRules } from '../tools/options.js';
import { ToolParser, type Part } from '../tools/parser.js';
import type { GenerateOptions, Generation, Message, Piece, ToolDescription, Usage } from '../types/index.js';
import type { Dropped, SendOptions, Session, Turn } from '../types/session.js';
import { conversationOf, extend, promptOf, render, type Ending, type SessionModel, type State } from './context.js';
import { Lock } from './lock.js';
import { checkPrefix, checkTurn, SEND_OPTIONS, type Settings } from './options.js';
import { encodeSession } from './saved.js';

/**
 * Fraction of the context that is kept free for an answer of unknown length, and at most for one of
 * known length.
 */
const ROOM = 1 / 4;
const MOST_ROOM = 1 / 2;

const COMPLETE: Ending = { complete: true, prefix: '' };

export class ChatSession implements Session {
  readonly #model: SessionModel;
  readonly #settings: Settings;
  readonly #turns = new Lock();
  readonly #end = new AbortController();
  #state: State;

  constructor(model: SessionModel, settings: Settings, state: State) {
    this.#model = model;
    this.#settings = settings;
    this.#state = state;
  }

  get messages(): readonly Message[] {
    return this.#state.messages;
  }

  get contextUsage(): number {
    const { ids, rows = 0, dropped } = this.#state;
    return ids.length + rows - dropped.tokens;
  }

  get contextLength(): number {
    return this.#model.info.contextLength;
  }

  get dropped(): Dropped {
    return this.#state.dropped;
  }

  send(turn: Turn, options: SendOptions = {}): Generation {
    checkNames(options, SEND_OPTIONS);
    const { prefix, signal, ...generate } = options;
    const given = Object.entries(generate).filter(([, value]) => value !== undefined);
    const all: GenerateOptions = { ...this.#settings.generate, ...Object.fromEntries(given) };
    const start = checkGenerate(signal === undefined ? all : { ...all, signal });
    const added = this.#turn(turn);
    const ending = { complete: false, prefix: checkPrefix(prefix) };
    return new Answering((left, started) => this.#answer(added, ending, start, [signal, left], started));
  }

  #turn(turn: Turn): readonly PlainMessage[] {
    return checkTurn(turn, this.#model.info);
  }

  async *#answer(
    added: readonly PlainMessage[],
    ending: Ending,
    options: CheckedOptions,
    given: readonly (AbortSignal | undefined)[],
    started: () => void,
  ): AsyncGenerator<Piece, void, void> {
    this.#check();
    const { signal, release } = anyOf(this.#end.signal, ...given);
    let leave = () => {};
    try {
      leave = await this.#turns.acquire(signal);
      const context = this.contextLength;
      const room = Math.ceil(Math.min(options.maxTokens ?? context * ROOM, context * MOST_ROOM));
      const told = await unlessAborted(this.#extend(added, ending, room), signal);
      yield* this.#pieces(told, ending.prefix, options, signal, started);
    } catch (error) {
      if (!signal.aborted) throw error;
      // ends like any generation that is stopped before it starts
      yield* this.#model.generate([], options, signal, undefined);
    } finally {
      leave();
      release();
    }
  }

  /** Generates the answer and adds it to the conversation, however it ends. */
  async *#pieces(
    told: State,
    prefix: string,
    options: CheckedOptions,
    signal: AbortSignal,
    started: () => void,
  ): AsyncGenerator<Piece, void, void> {
    const { cache, ...state } = told;
    const { overflow } = this.#settings;
    const shifts = (overflow === 'shift' || overflow === 'sinks') && told.behind !== undefined;
    const start = { ...options, ...(shifts && { shiftBehind: told.behind }), ...ownerOf(told) };
    const { tools, toolChoice = 'auto', parallelToolCalls = true } = this.#settings.template;
    const rules = callRules(toolChoice, parallelToolCalls, options.constraint !== null);
    const prompt = conversationOf(this.#settings, told);
    const said: number[] = [];
    const answer = new Told();
    let over = false;
    const keep = (stopped: boolean, usage?: Usage) => {
      over = true;
      if (stopped && said.length === 0) return;
      const { droppedTokens = 0, promptTokens } = usage ?? {};
      const rows = prompt.pictures && promptTokens !== undefined && { rows: promptTokens - (prompt.ids?.length ?? 0) };
      this.#state = {
        ...state,
        ...rows,
        messages: [...state.messages, answerOf(prefix + answer.text, answer.reasoning, tools, rules)],
        ids: [...state.ids, ...said],
        dropped: { ...state.dropped, tokens: state.dropped.tokens + droppedTokens },
      };
    };
    try {
      const pieces = this.#model.generate(prompt, start, signal, cache);
      pieces.started.then(started, () => undefined); // the iteration fails too
      for await (const piece of pieces) {
        answer.add(piece);
        if (piece.finish) keep(piece.finish.reason === 'abort', piece.finish.usage);
        else said.push(piece.id);
        yield piece;
      }
    } catch (error) {
      over = true;
      throw error;
    } finally {
      // the reader left the loop
      if (!over) keep(true);
    }
  }

  async append(turn: Turn = [], options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#check();
    checkNames(options, ['signal']);
    const { signal: given } = options;
    const added = this.#turn(turn);
    const { adapter } = this.#settings.generate;
    const start = checkGenerate({ ...(adapter !== undefined && { adapter }), ...(given && { signal: given }) });
    const { signal, release } = anyOf(this.#end.signal, given);
    let leave = () => {};
    try {
      leave = await this.#turns.acquire(signal);
      if (added.length === 0 && this.#state.messages.length === 0) return;
      const extended = unlessAborted(this.#extend(added, COMPLETE, 1), signal);
      const told = await extended.catch((error: unknown) => this.#untold(added, error));
      if (told.ids.length > 0) {
        const conversation = conversationOf(this.#settings, told);
        const pieces = this.#model.generate(
          conversation.pictures ? conversation : promptOf(told),
          { ...start, prefill: true, ...ownerOf(told) },
          signal,
          told.cache,
        );
        for await (const _ of untilAborted(pieces, signal)) continue;
      }
      const { cache: _, ...state } = told;
      this.#state = state;
    } finally {
      leave();
      release();
    }
  }

  async measure(turn: Turn, options: { prefix?: string } = {}): Promise<number> {
    this.#check();
    checkNames(options, ['prefix']);
    const state = this.#state;
    const longer = { ...state, messages: [...state.messages, ...this.#turn(turn)] };
    const ids = await render(this.#model, this.#settings, longer, {
      complete: false,
      prefix: checkPrefix(options.prefix),
    });
    return Math.max(0, ids.length - state.ids.length);
  }

  fork(): Session {
    this.#check();
    return new ChatSession(this.#model, this.#settings, this.#state);
  }

  async save(options: { cache?: boolean } = {}): Promise<Uint8Array<ArrayBuffer>> {
    this.#check();
    checkNames(options, ['cache']);
    const { cache = true } = options;
    if (picturesOf(this.#state.messages).length > 0) {
      throw invalidOption('session', 'one without pictures, which are not saved', 'one with pictures');
    }
    if (typeof cache !== 'boolean') throw invalidOption('cache', 'a boolean', cache);
    const leave = await this.#turns.acquire(this.#end.signal);
    try {
      const state = this.#state;
      // the last position of a full context is never computed
      const ids = promptOf(state).slice(0, this.contextLength - 1);
      // a state that layers keep instead is not saved: the text is read again
      const { kvWidth } = this.#model.info;
      const saved = cache && ids.length > 0 && kvWidth > 0 ? await this.#readCache(state, ids) : undefined;
      return await encodeSession(this.#model, this.#settings, state, saved);
    } finally {
      leave();
    }
  }

  async #readCache(state: State, ids: readonly number[]): Promise<State['cache']> {
    // restored and not used yet
    if (state.cache) return state.cache;
    return { ids, ...(await this.#model.readCache(ids, state.restored, this.#settings.generate.adapter)) };
  }

  dispose(): void {
    this.#end.abort(disposed());
  }

  #check(): void {
    if (this.#end.signal.aborted) throw disposed();
  }

  async #extend(added: readonly PlainMessage[], ending: Ending, room: number): Promise<State> {
    return extend(this.#model, this.#settings, this.#state, added, ending, room);
  }

  /**
   * Some templates refuse a conversation without a user message; its ids are then computed with the
   * first one.
   */
  #untold(added: readonly PlainMessage[], error: unknown): State {
    const messages = [...this.#state.messages, ...added];
    const unspoken = messages.every(({ role }) => role !== 'user');
    if (serializeError(error).code !== 'CHAT_TEMPLATE' || !unspoken) throw error;
    return { ...this.#state, messages, ids: [] };
  }
}

/**
 * Turns an answer into a message. Most templates leave out its reasoning later, and write its calls
 * in their own format.
 */
function answerOf(
  text: string,
  reasoning: string,
  tools: readonly ToolDescription[] | null,
  rules: CallRules,
): PlainMessage {
  const parser = new ToolParser(tools ?? [], rules);
  const parts: readonly Part[] = tools ? [...parser.push(text), ...parser.end()] : [{ type: 'text', text }];
  const content = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  const calls = parts.flatMap((part) => (part.type === 'call' ? [callOf(part)] : []));
  return {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    ...(reasoning ? { reasoning_content: reasoning } : {}),
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
  };
}

function callOf({ name, arguments: json }: Extract<Part, { type: 'call' }>): object {
  return { id: `call_${crypto.randomUUID()}`, type: 'function', function: { name, arguments: json } };
}

/** Owner of the restored keys and values that it continues from. */
function ownerOf({ restored }: State): Pick<StartOptions, 'restored'> {
  return restored === undefined ? {} : { restored };
}

function disposed(): WeftError {
  return new WeftError('DISPOSED', 'the session was disposed of; begin another one, or fork it before');
}
