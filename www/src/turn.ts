/** A turn of a conversation: a question with its answer, and what is told of it. */

import type { Finish } from 'weft-llm';
import type { SavedTurn, Stats } from './conversations/record.js';
import { newId } from './names.js';
import { t } from './text/text.js';

type Content = Omit<SavedTurn, 'id' | 'parent'>;

/** A question and its answer. Reports each change with the event `change`. */
export class Turn extends EventTarget implements Content {
  answer = '';
  state: Content['state'] = 'unanswered';
  stats: Stats = '';

  constructor(
    readonly question: string,
    readonly pictures: readonly string[] = [],
    readonly id = newId(),
  ) {
    super();
  }

  get content(): Content {
    const { question, pictures, answer, state, stats } = this;
    return { question, ...(pictures.length > 0 && { pictures }), answer, state, stats };
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

/** The end of an answer, and its speed. */
export function statsOf({ usage, reason }: Finish, context: ContextUse | null): Stats {
  const { tokensPerSecond, timeToFirstTokenMs: firstMs, completionTokens: tokens, promptTokens, cachedTokens } = usage;
  // each accepted token is a step that was not taken
  const steps = tokens - (usage.acceptedTokens ?? 0);
  const full = promptTokens + tokens >= (context?.of ?? Infinity);
  const end = reason === 'length' && full ? 'full' : reason;
  return { end, tokensPerSecond, firstMs, tokens, steps, promptTokens, cachedTokens };
}

/** What is told under an answer. */
export function written(stats: Stats): string {
  if (typeof stats === 'string') return stats;
  const { end, tokensPerSecond, firstMs, tokens, steps, promptTokens, cachedTokens } = stats;
  return [
    ...(end === 'stop' ? [] : [t(`stats-${end}`)]),
    t('stats-rate', { rate: tokensPerSecond }),
    t('stats-first', { seconds: firstMs / 1000 }),
    t('stats-tokens', { tokens }),
    ...(steps > 0 && steps < tokens ? [t('stats-steps', { rate: tokens / steps })] : []),
    cachedTokens > 0
      ? t('stats-prompt-cached', { tokens: promptTokens, cached: cachedTokens })
      : t('stats-prompt', { tokens: promptTokens }),
  ].join(' · ');
}
