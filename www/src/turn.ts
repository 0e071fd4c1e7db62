/** A turn of a conversation: a question with its answer, and what is told of it. */

import type { Finish } from 'weft-llm';
import type { SavedTurn } from './conversations/record.js';
import { newId } from './names.js';

type Content = Omit<SavedTurn, 'id' | 'parent'>;

/** A question and its answer. Reports each change with the event `change`. */
export class Turn extends EventTarget implements Content {
  answer = '';
  state: Content['state'] = 'unanswered';
  stats = '';

  constructor(
    readonly question: string,
    readonly id = newId(),
  ) {
    super();
  }

  get content(): Content {
    const { question, answer, state, stats } = this;
    return { question, answer, state, stats };
  }

  set(values: Partial<Content>): void {
    Object.assign(this, values);
    this.dispatchEvent(new Event('change'));
  }
}

/** A turn whose tab is gone streams no more. */
export function settled(turn: SavedTurn): SavedTurn {
  const under = turn.state === 'waiting' || turn.state === 'streaming';
  return under ? { ...turn, state: turn.answer === '' ? 'unanswered' : 'interrupted' } : turn;
}

/** How full the context is. `left`: messages that the model no longer sees. */
export interface ContextUse {
  tokens: number;
  of: number;
  left: number;
}

/** Temperature of a new answer when the setting is 0: the answer would be the same again. */
export const ANOTHER_TEMPERATURE = 0.8;

/** Which of its versions a turn is, from 1. */
export interface Version {
  at: number;
  of: number;
}

/** What is told under an answer: its end, and its speed. */
export function describe({ usage, reason }: Finish, context: ContextUse | null): string {
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
