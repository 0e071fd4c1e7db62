/** A conversation: its turns, the answer that streams, and what the model gets to read. */

import { WeftError, type Finish, type Llm, type Message, type Session } from 'weft-llm';
import { announce } from './announcer.js';
import { generateSettings, systemPrompt } from './settings.js';

/**
 * `interrupted`: the page was closed while the answer streamed. `stopped`: the user stopped it, or
 * it was cut off.
 */
export type TurnState = 'waiting' | 'streaming' | 'answered' | 'stopped' | 'interrupted' | 'unanswered';

export interface SavedTurn {
  question: string;
  /** Markdown as the model wrote it. */
  answer: string;
  state: TurnState;
  stats: string;
}

/** Reports each change with the event `change`. */
export class Turn extends EventTarget implements SavedTurn {
  answer = '';
  state: TurnState = 'unanswered';
  stats = '';

  constructor(readonly question: string) {
    super();
  }

  static from({ question, answer, state, stats }: SavedTurn): Turn {
    const under = state === 'waiting' || state === 'streaming';
    const kept = under ? (answer === '' ? 'unanswered' : 'interrupted') : state;
    return Object.assign(new Turn(question), { answer, stats, state: kept });
  }

  set(values: Partial<SavedTurn>): void {
    Object.assign(this, values);
    this.dispatchEvent(new Event('change'));
  }
}

/** How full the context is. `left`: messages that the model no longer sees. */
export interface ContextUse {
  tokens: number;
  of: number;
  left: number;
}

export interface ConversationEvents {
  onError(error: unknown): void;
  /** Called when the turns, or the state of the last one, change. */
  onChange(): void;
  /** Called when there is more to save, for each piece of an answer too. */
  onGrowth(): void;
}

/** Temperature of a new answer when the setting is 0: the answer would be the same again. */
export const ANOTHER_TEMPERATURE = 0.8;

export class Conversation {
  turns: Turn[];
  context: ContextUse | null = null;
  #running: AbortController | null = null;

  constructor(
    readonly id: string,
    readonly events: ConversationEvents,
    turns: readonly SavedTurn[] = [],
  ) {
    this.turns = turns.map(Turn.from);
  }

  get busy(): boolean {
    return this.#running !== null;
  }

  /** Whether the last answer can be written on from where it ended. */
  get canContinue(): boolean {
    return !this.busy && ['interrupted', 'stopped'].includes(this.turns.at(-1)?.state ?? '');
  }

  ask(question: string, model: Llm): void {
    this.turns = [...this.turns, new Turn(question)];
    void this.answer(model);
  }

  stop(): void {
    this.#running?.abort();
  }

  /** Takes back a question that got no answer. */
  takeBack(): string {
    const last = this.turns.at(-1);
    if (this.busy || !last || last.answer !== '') return '';
    this.turns = this.turns.slice(0, -1);
    this.#changed();
    return last.question;
  }

  /** Answers the last question, again if it has an answer. `go on`: from where the answer ended. */
  async answer(model: Llm, how: 'anew' | 'go on' = 'anew'): Promise<void> {
    const turn = this.turns.at(-1);
    if (!turn || this.busy) return;
    const running = new AbortController();
    this.#running = running;
    const before = { answer: turn.answer, stats: turn.stats, state: turn.state };
    turn.set({ state: 'waiting', stats: '' });
    this.#changed();
    try {
      const finish = await this.#stream(turn, model, how === 'go on' ? turn.answer : '', running.signal);
      const cut = finish.reason !== 'stop';
      turn.set({ stats: describe(finish, this.context), state: cut ? 'stopped' : 'answered' });
      announce(finish.reason === 'abort' ? 'The answer was stopped.' : 'The answer is complete.');
    } catch (error) {
      // An earlier answer stays if the new one did not start.
      if (turn.state === 'waiting') turn.set(before.answer === '' ? { state: 'unanswered' } : before);
      else turn.set({ state: 'stopped' });
      if (this.turns.includes(turn)) this.events.onError(error);
    } finally {
      if (turn.answer === '') turn.set({ state: 'unanswered' });
      this.#running = null;
      this.#changed();
    }
  }

  async #stream(turn: Turn, model: Llm, prefix: string, signal: AbortSignal): Promise<Finish> {
    const settings = generateSettings();
    if (prefix === '' && turn.answer !== '' && settings.temperature === 0) settings.temperature = ANOTHER_TEMPERATURE;
    // Turns that no longer fit are left out, oldest first; what the turns have in common with
    // earlier answers is in the KV cache still.
    const session = model.session({ messages: this.#earlier(turn), overflow: 'truncate-oldest-turns' });
    let end: Finish | undefined;
    try {
      const pieces = session.send(turn.question, { ...settings, signal, ...(prefix === '' ? {} : { prefix }) });
      for await (const { text, finish } of pieces) {
        if (text !== '') {
          const answer = (turn.state === 'streaming' ? turn.answer : prefix) + text;
          const began = turn.state !== 'streaming';
          turn.set({ answer, state: 'streaming' });
          if (began) this.#changed();
          this.events.onGrowth();
        }
        if (finish) end = finish;
      }
      if (!end) throw new WeftError('INTERNAL', 'the answer ended without saying why');
      this.#measure(session);
      return end;
    } finally {
      session.dispose();
    }
  }

  #measure({ contextUsage, contextLength, dropped }: Session): void {
    this.context = { tokens: contextUsage, of: contextLength, left: dropped.messages };
  }

  /** The messages before a turn. */
  #earlier(turn: Turn): Message[] {
    const system = systemPrompt().trim();
    const messages: Message[] = system === '' ? [] : [{ role: 'system', content: system }];
    for (const { question, answer } of this.turns.slice(0, this.turns.indexOf(turn))) {
      // A question without an answer would put two user messages in a row, which many templates
      // refuse.
      if (answer === '') continue;
      messages.push({ role: 'user', content: question }, { role: 'assistant', content: answer });
    }
    return messages;
  }

  #changed(): void {
    this.events.onChange();
    this.events.onGrowth();
  }
}

function describe({ usage, reason }: Finish, context: ContextUse | null): string {
  const tokens = (count: number) => `${count} ${count === 1 ? 'token' : 'tokens'}`;
  const full = usage.promptTokens + usage.completionTokens >= (context?.of ?? Infinity);
  const ends = { stop: [], abort: ['stopped'], length: [full ? 'the context is full' : 'cut at the longest answer'] };
  return [
    ...ends[reason],
    `${usage.tokensPerSecond.toFixed(1)} tokens/s`,
    `first after ${(usage.timeToFirstTokenMs / 1000).toFixed(2)} s`,
    tokens(usage.completionTokens),
    `prompt ${usage.promptTokens}` + (usage.cachedTokens > 0 ? ` (${usage.cachedTokens} cached)` : ''),
  ].join(' · ');
}
