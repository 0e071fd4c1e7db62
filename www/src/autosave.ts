/** Saves a conversation while it grows. */

import type { ModelSource } from 'weft-llm';
import type { Conversation } from './conversation.js';
import { saveConversation } from './saved.js';

/** While an answer streams, it is saved at most this often. */
const SAVE_MS = 400;

export class Autosave {
  /** Null: the conversation is named by its first question. */
  title: string | null = null;
  #waiting: ReturnType<typeof setTimeout> | undefined;

  /** `now` gives the conversation, and where the model comes from that answers it. */
  constructor(readonly now: () => { conversation: Conversation; source: ModelSource }) {
    // The last moment at which a page that is closed can save.
    document.addEventListener('visibilitychange', () => document.hidden && void this.flush());
  }

  soon(): void {
    this.#waiting ??= setTimeout(() => void this.flush(), SAVE_MS);
  }

  /** Saves now what waits to be saved. */
  async flush(): Promise<void> {
    if (this.#waiting === undefined) return;
    this.forget();
    const { conversation, source } = this.now();
    const { id, turns } = conversation;
    if (turns.length === 0) return;
    await saveConversation({
      id,
      title: this.title,
      changed: Date.now(),
      turns: turns.map(({ question, answer, state, stats }) => ({ question, answer, state, stats })),
      model: typeof source === 'string' ? source : null,
    });
  }

  /** Saves no more what waits: the conversation was deleted. */
  forget(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
  }
}
