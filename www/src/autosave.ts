/** Saves a conversation while it grows. */

import type { Conversation } from './conversation.js';
import { saveChanges } from './saved.js';

/** While an answer streams, it is saved at most this often. */
const SAVE_MS = 400;

export class Autosave {
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(readonly current: () => Conversation) {
    // The last moment at which a page that is closed can save.
    document.addEventListener('visibilitychange', () => document.hidden && void this.flush());
  }

  soon(): void {
    this.#waiting ??= setTimeout(() => void this.flush(), SAVE_MS);
  }

  /** Saves now what waits to be saved. */
  flush(conversation = this.current()): Promise<void> {
    if (conversation === this.current()) this.forget();
    return this.queue(async () => {
      const mayBegin = !conversation.isSaved;
      const changes = conversation.takeChanges();
      if (changes) await saveChanges(conversation.id, changes, mayBegin);
    });
  }

  /**
   * Does something after all earlier saves and before all later ones: what it reads has every
   * change that the conversation does not count as unsaved.
   */
  queue(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined); // what failed does not stop what comes after it
    return done;
  }

  /** Saves no more what waits: the conversation was deleted. */
  forget(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
  }
}
