/** One of two answers that are compared: who gives it, with what settings, and how fast. */

import { WeftError, type Llm, type Message, type Usage } from 'weft-llm';
import type { Values } from '../conversations/record.js';
import { generateSettings, ofChat, setting, systemPrompt } from '../settings.js';
import { optional, t } from '../text/text.js';

export type SideState = 'empty' | 'waiting' | 'streaming' | 'answered' | 'stopped' | 'failed';

/** Reports each change with the event `change`. */
export class Side extends EventTarget {
  state: SideState = 'empty';
  answer = '';
  usage: Usage | null = null;
  error: unknown = null;

  constructor(
    readonly place: 'left' | 'right',
    public values: Values,
  ) {
    super();
  }

  get busy(): boolean {
    return this.state === 'waiting' || this.state === 'streaming';
  }

  set(values: Partial<Pick<Side, 'state' | 'answer' | 'usage' | 'error' | 'values'>>): void {
    Object.assign(this, values);
    this.dispatchEvent(new Event('change'));
  }

  /** Answers a question after these messages. What fails is shown, not thrown. */
  async ask(model: Llm | null, question: string, messages: readonly Message[], signal: AbortSignal): Promise<void> {
    const system = systemPrompt(this.values).trim();
    const first: Message[] = system === '' ? [] : [{ role: 'system', content: system }];
    try {
      if (!model) throw new WeftError('DISPOSED', t('fault-no-model'));
      const session = model.session({ messages: [...first, ...messages], overflow: 'truncate-oldest-turns' });
      try {
        for await (const { text, finish } of session.send(question, { ...generateSettings(this.values), signal })) {
          if (text !== '') this.set({ answer: this.answer + text, state: 'streaming' });
          if (finish) this.set({ usage: finish.usage, state: finish.reason === 'stop' ? 'answered' : 'stopped' });
        }
      } finally {
        session.dispose();
      }
    } catch (error) {
      this.set(signal.aborted ? { state: 'stopped' } : { state: 'failed', error });
    }
  }
}

/** Labels and values of the settings in which a side differs from another. */
export function unlike(one: Values, other: Values): string[] {
  return ofChat
    .filter(({ name }) => setting(name, one) !== setting(name, other))
    .map(({ name, kind }) => {
      const value = setting(name, one);
      return t('compare-unlike', {
        setting: optional(`setting-${name}.short`) ?? t(`setting-${name}`),
        value: value === '' ? t('none') : kind === 'range' ? Number(value) : value,
      });
    });
}
