/** Where the page is: the view that is shown, its entry in the history, and the way back to it. */

import { WeftError, type ModelSource } from 'weft-llm';
import type { Chats } from './conversations/chats.js';
import type { SavedConversation } from './conversations/record.js';
import type { ShownError } from './error-note.js';
import { missingFile } from './errors.js';
import { isHere, lastModel } from './last-model.js';
import type { ModelLoader } from './loader.js';
import { savedConversation } from './saved.js';
import { t } from './text/text.js';
import type { Turn } from './turn.js';
import { fetchView, type Home, type View } from './views.js';

/** What an entry of the history shows. A load is none: going back from it cancels it. */
interface Entry {
  view: Exclude<View, 'loading'>;
  conversation: string;
  /** The task that the view of tasks shows; all of them without it. */
  task?: string | null;
  /** The turn whose answers are compared, by its id. */
  turn?: string | null;
}

/** What the places need of the page. */
export interface PlacesHost {
  readonly chats: Chats;
  readonly loader: ModelLoader;
  /** The task that the view of tasks shows. */
  readonly task: string | null;
  /** A view is left. */
  leave(view: View): void;
  /** Renders the view that is shown now. */
  render(): Promise<void>;
  /** The code of the view is there: puts the focus where the view begins. */
  enter(view: View, task: string | null): void | Promise<void>;
  load(model: ModelSource): Promise<void>;
  /** Shows a saved conversation. */
  open(saved: SavedConversation): Promise<void>;
  /** Nothing was shown before. */
  onFirst(): Promise<void>;
  /** The code of a view did not arrive. */
  onViewMissing(error: unknown): void;
  /** The model that a view was used with cannot be loaded by itself. */
  onModelMissing(shown: ShownError): void;
}

export class Places {
  view: View = 'picker';
  /** Where a model is used: a load that was asked for there leads back. */
  home: Home = 'chat';
  /** What is compared: the answers to a question of the chat, or to one that is still to come. */
  compared: Turn | null = null;

  constructor(readonly host: PlacesHost) {}

  get hasChat(): boolean {
    return this.host.loader.model !== null || !this.host.chats.isEmpty;
  }

  get hasHome(): boolean {
    return this.hasChat || this.home !== 'chat';
  }

  /** Shows what the history says, now and whenever it changes. */
  begin(): void {
    addEventListener('popstate', ({ state }) => void this.#restore(state as Entry | null));
    void this.#restore(history.state as Entry | null);
  }

  /** Shows a view, as a new entry of the history unless it is shown already. */
  go(view: Entry['view'], task: string | null = null): void {
    const turn = view === 'compare' ? (this.compared?.id ?? null) : null;
    const entry: Entry = { view, conversation: this.host.chats.current.id, task, turn };
    const now = history.state as Entry | null;
    const isShown = now?.view === view && (now.task ?? null) === task && now.conversation === entry.conversation;
    if (!isShown) history.pushState(entry, '');
    void this.show(view, task);
  }

  goHome(): void {
    // After a reload, the view of tasks does not know its task yet.
    const { view, task = null } = (history.state as Entry | null) ?? {};
    this.go(this.home, this.home !== 'tasks' ? null : view === 'tasks' ? task : this.host.task);
  }

  /** Shows another conversation. */
  async openConversation(id: string): Promise<void> {
    if (id === this.host.chats.current.id) return this.go('chat');
    const saved = await savedConversation(id);
    if (!saved) return;
    history.pushState({ view: 'chat', conversation: id } satisfies Entry, '');
    await this.host.open(saved);
  }

  /** The answers to a question of the chat; without one, to a question that is still to come. */
  async compare(turn: Turn | null): Promise<void> {
    if (!(await this.fetch('compare'))) return;
    this.compared = turn;
    this.go('compare');
  }

  async show(view: View, task: string | null = null): Promise<void> {
    const { host } = this;
    host.leave(this.view);
    this.view = view;
    if (view !== 'picker' && view !== 'loading') this.home = view;
    await host.render();
    if (view !== 'chat' && (!(await this.fetch(view)) || this.view !== view)) return;
    await host.enter(view, task);
  }

  /** Fetches the code of a view. Whether it came; if not, the chat says so. */
  async fetch(view: View): Promise<boolean> {
    try {
      await fetchView(view);
      return true;
    } catch (error) {
      this.host.onViewMissing(error);
      await this.show('chat');
      return false;
    }
  }

  /** Shows what an entry of the history says; also after a reload. */
  async #restore(entry: Entry | null): Promise<void> {
    const { chats, loader } = this.host;
    loader.cancel();
    if (entry?.view === 'chat') {
      const isOpen = entry.conversation === chats.current.id;
      const saved = isOpen ? undefined : await savedConversation(entry.conversation);
      if (saved) return this.host.open(saved);
      if (this.hasChat) return this.show('chat');
    } else if (entry?.view === 'picker') {
      return this.show('picker');
    } else if (entry) {
      return this.#return(entry, entry.view);
    }
    history.replaceState({ view: 'picker', conversation: chats.current.id } satisfies Entry, '');
    this.view = 'picker';
    await this.host.onFirst();
  }

  /** Shows a view that uses the model, which is loaded again after a reload of the page. */
  async #return({ conversation, task = null, turn = null }: Entry, view: Home): Promise<void> {
    const { chats, loader } = this.host;
    const isOpen = conversation === chats.current.id;
    const saved = !isOpen && (view === 'compare' || chats.isEmpty) && (await savedConversation(conversation));
    if (saved) await chats.open(saved);
    history.replaceState({ view, conversation: chats.current.id, task, turn } satisfies Entry, '');
    if (view === 'compare') {
      if (!(await this.fetch(view))) return;
      this.compared = chats.current.turns.find(({ id }) => id === turn) ?? null;
    }
    const last = loader.model ? null : lastModel();
    if (!last) {
      // A comparison begins with a model.
      if (view === 'compare' && !loader.model) return this.show(this.hasChat ? 'chat' : 'picker');
      return this.show(view, task);
    }
    this.home = view;
    const { model, file } = last;
    if (model !== null) {
      if (await isHere(model)) return this.host.load(model);
      loader.wanted = model;
    }
    this.host.onModelMissing(
      model === null
        ? { error: new WeftError('DISPOSED', t('fault-no-model')), explanation: () => missingFile(file) }
        : { error: notHere(model) },
    );
    await this.show('picker');
  }
}

export const notHere = (model: string): WeftError => new WeftError('DISPOSED', t('fault-not-stored', { model }));
