/** The page: which view is shown, and what connects the views with the model. */

import { html, nothing, type TemplateResult } from 'lit';
import { models, WeftError, type Llm, type ModelSource, type Progress } from 'weft-llm';
import { Autosave } from './autosave.js';
import './chat-view.js';
import type { ChatView } from './chat-view.js';
import './chats-dialog.js';
import type { ChatsDialog } from './chats-dialog.js';
import { Component } from './component.js';
import './composer.js';
import type { ChatComposer } from './composer.js';
import { Conversation } from './conversation.js';
import { acceptDrops } from './drops.js';
import './error-note.js';
import type { ShownError } from './error-note.js';
import { isFatal, plainNote, type Remedy } from './errors.js';
import { Follower } from './follow.js';
import { ModelLoader } from './loader.js';
import './loading-view.js';
import { DEFAULT_MODEL, type ModelPicker } from './model-picker.js';
import './model-picker.js';
import { keepEngine } from './offline.js';
import { savedConversation, type SavedConversation } from './saved.js';
import './settings-dialog.js';
import type { SettingsDialog } from './settings-dialog.js';
import { change } from './settings.js';
import './status-line.js';
import type { TasksView } from './tasks/view.js';

type View = 'picker' | 'loading' | 'chat' | 'tasks';

/** What an entry of the history shows. A load is none: going back from it cancels it. */
interface Entry {
  view: Exclude<View, 'loading'>;
  conversation: string;
  /** The task that the view of tasks shows; all of them without it. */
  task?: string | null;
}

export class WeftPage extends Component {
  #view: View = 'picker';
  /** Where a model is used: a load that was asked for there leads back. */
  #home: 'chat' | 'tasks' = 'chat';
  #conversation = this.#newConversation();
  #loader = new ModelLoader();
  #progress: Progress | null = null;
  #chatError: ShownError | null = null;
  #pickerError: ShownError | null = null;
  /**
   * What weft noted while it loaded the model, until the first question or until it is dismissed.
   */
  #note = '';
  #isDropTarget = false;
  #atEnd = true;
  #follower: Follower | undefined;
  #autosave = new Autosave(() => ({ conversation: this.#conversation, source: this.#loader.source }));
  /** What “Try again” under the shown error does. */
  #retry: () => void = () => undefined;

  get #model(): Llm | null {
    return this.#loader.model;
  }

  protected override render(): TemplateResult {
    const [inChat, inTasks] = [this.#view === 'chat', this.#view === 'tasks'];
    return html`
      <a class="skip" href="#prompt" @click=${this.#skip}>Skip to the prompt</a>
      <header>
        <p class="wordmark">${logo}<span>weft</span></p>
        <nav aria-label="Page" ?hidden=${this.#view === 'loading'}>
          <button type="button" id="change-model" ?hidden=${!inChat && !inTasks} @click=${() => this.#go('picker')}>
            Model
          </button>
          <button type="button" id="open-chat" ?hidden=${!inTasks} @click=${() => this.#go('chat')}>Chat</button>
          <button
            type="button"
            id="open-tasks"
            data-testid="tasks"
            ?hidden=${inTasks}
            @click=${() => this.#go('tasks')}
          >
            Tasks
          </button>
          <button type="button" id="open-chats" data-testid="chats" aria-haspopup="dialog" @click=${this.#openChats}>
            Chats
          </button>
          <button
            type="button"
            id="new-chat"
            data-testid="new-chat"
            ?hidden=${!inChat}
            ?disabled=${this.#conversation.turns.length === 0}
            @click=${this.#newChat}
          >
            New chat
          </button>
          <button
            type="button"
            id="open-settings"
            data-testid="settings"
            aria-haspopup="dialog"
            @click=${() => this.#settings.open()}
          >
            Settings
          </button>
        </nav>
      </header>

      <main id="main" tabindex="-1">
        <model-picker
          .shown=${this.#pickerError}
          ?canGoBack=${this.#hasHome}
          home=${this.#home}
          @model=${(event: CustomEvent<ModelSource>) => this.#load(event.detail)}
          @back=${this.#goHome}
          @remedy=${(event: CustomEvent<Remedy>) => this.#mend(event.detail)}
          @dismiss=${this.#dismiss}
        ></model-picker>
        <chat-view
          .conversation=${this.#conversation}
          .turns=${this.#conversation.turns}
          ?busy=${this.#conversation.busy}
          ?hasModel=${this.#model !== null}
          @ask=${(event: CustomEvent<string>) => this.#onExample(event.detail)}
          @regenerate=${() => this.#answer('anew')}
          @continue=${() => this.#answer('go on')}
          @tasks=${() => this.#go('tasks')}
        ></chat-view>
        <tasks-view
          .model=${this.#model}
          @task=${(event: CustomEvent<string | null>) => this.#go('tasks', event.detail)}
          @models=${() => this.#go('picker')}
          @fault=${(event: CustomEvent<unknown>) => this.#onFault(event.detail)}
          @remedy=${(event: CustomEvent<Remedy>) => this.#mend(event.detail)}
        ></tasks-view>
        <loading-view .progress=${this.#progress} @cancel=${() => this.#loader.cancel()}></loading-view>
      </main>

      <footer>
        <button type="button" id="to-end" ?hidden=${this.#atEnd} @click=${this.#toEnd}>
          Latest <span aria-hidden="true">↓</span>
        </button>
        <error-note
          id="chat-error"
          .shown=${this.#chatError}
          @remedy=${(event: CustomEvent<Remedy>) => this.#mend(event.detail)}
          @dismiss=${this.#dismiss}
        ></error-note>
        ${
          this.#note === ''
            ? nothing
            : html`<div class="note" data-testid="note" role="status">
                <p>${this.#note}</p>
                <button type="button" class="dismiss" aria-label="Dismiss this note" @click=${this.#dismiss}>×</button>
              </div>`
        }
        <chat-composer
          ?busy=${this.#conversation.busy}
          @ask=${(event: CustomEvent<string>) => this.#ask(event.detail)}
          @stop=${() => this.#conversation.stop()}
        ></chat-composer>
        <status-line
          .model=${this.#model}
          .source=${this.#loader.source}
          .context=${this.#conversation.context}
        ></status-line>
      </footer>

      <div id="drop" ?hidden=${!this.#isDropTarget}><p>Drop a GGUF file or a folder to load it</p></div>
      <settings-dialog @reload=${() => this.#load(this.#loader.source)}></settings-dialog>
      <chats-dialog
        @open=${(event: CustomEvent<string>) => this.#openConversation(event.detail)}
        @renamed=${(event: CustomEvent<SavedConversation>) => this.#onRenamed(event.detail)}
        @deleted=${(event: CustomEvent<string>) => this.#onDeleted(event.detail)}
      ></chats-dialog>
    `;
  }

  protected override async firstUpdated(): Promise<void> {
    await this.find<ChatView>('chat-view').updateComplete;
    acceptDrops(
      (model) => this.#load(model),
      (over) => {
        this.#isDropTarget = over;
        this.requestUpdate();
      },
    );
    const isShown = () => this.#view === 'chat';
    this.#follower = new Follower(this.find('main'), this.find('#turns'), isShown, (atEnd) => {
      if (this.#atEnd === atEnd) return;
      this.#atEnd = atEnd;
      this.requestUpdate();
    });
    addEventListener('popstate', ({ state }) => void this.#restore(state as Entry | null));
    addEventListener('keydown', (event) => this.#onKey(event));
    void this.#restore(history.state as Entry | null);
  }

  protected override updated(): void {
    document.body.dataset['view'] = this.#view;
  }

  // Views

  /** Shows a view, as a new entry of the history unless it is shown already. */
  #go(view: Entry['view'], task: string | null = null): void {
    const entry: Entry = { view, conversation: this.#conversation.id, task };
    const now = history.state as Entry | null;
    const isShown = now?.view === view && (now.task ?? null) === task && now.conversation === entry.conversation;
    if (!isShown) history.pushState(entry, '');
    void this.#show(view, task);
  }

  #goHome(): void {
    this.#go(this.#home, this.#home === 'tasks' ? this.#tasks.task : null);
  }

  get #hasHome(): boolean {
    return this.#hasChat || this.#home === 'tasks';
  }

  async #show(view: View, task: string | null = null): Promise<void> {
    if (this.#view === 'tasks') this.#tasks.leave?.();
    this.#view = view;
    if (view === 'chat' || view === 'tasks') this.#home = view;
    this.requestUpdate();
    await this.updateComplete;
    if (view === 'chat') {
      this.#follower?.follow();
      this.#composer.focusPrompt();
      return;
    }
    this.#atEnd = true;
    this.requestUpdate();
    this.find('main').scrollTop = 0;
    if (view === 'loading') return this.find('#cancel-load').focus();
    if (view === 'tasks') return this.#openTasks(task);
    await this.#picker.refresh();
    if (this.#view === 'picker' && !this.querySelector('dialog[open]')) this.#picker.focusFirst();
  }

  async #openTasks(task: string | null): Promise<void> {
    try {
      await import('./tasks/view.js');
    } catch (error) {
      this.#retry = () => this.#go('tasks', task);
      this.#chatError = { error: new WeftError('WORKER_FAILED', `the tasks did not arrive: ${String(error)}`) };
      return this.#show('chat');
    }
    if (this.#view === 'tasks') await this.#tasks.open(task);
  }

  /** Shows what an entry of the history says; also after a reload. */
  async #restore(entry: Entry | null): Promise<void> {
    this.#loader.cancel();
    if (entry?.view === 'chat') {
      const saved =
        entry.conversation === this.#conversation.id ? undefined : await savedConversation(entry.conversation);
      if (saved) return this.#open(saved);
      if (this.#model || this.#conversation.turns.length > 0) return this.#show('chat');
    }
    if (entry?.view === 'tasks') return this.#show('tasks', entry.task);
    if (entry?.view === 'picker') return this.#show('picker');
    // The first visit: nothing was pressed that could have lost the focus.
    history.replaceState({ view: 'picker', conversation: this.#conversation.id } satisfies Entry, '');
    this.#view = 'picker';
    await this.#picker.refresh();
    this.requestUpdate();
  }

  #onKey(event: KeyboardEvent): void {
    const isOpen = document.querySelector('dialog[open], :popover-open') !== null;
    if (event.key !== 'Escape' || event.defaultPrevented || isOpen || this.#view !== 'picker') return;
    if (this.#hasHome) this.#goHome();
  }

  /** Without a navigation: an address with a fragment would be another entry of the history. */
  #skip(event: Event): void {
    event.preventDefault();
    this.#composer.focusPrompt();
  }

  #dismiss(): void {
    this.#chatError = this.#pickerError = null;
    this.#note = '';
    this.requestUpdate();
    if (this.#view === 'chat') this.#composer.focusAfterButton();
    else this.#picker.focusFirst();
  }

  #toEnd(): void {
    this.#follower?.follow();
    this.#composer.focusAfterButton();
  }

  // Models

  async #load(wanted: ModelSource): Promise<void> {
    this.#conversation.stop();
    this.#chatError = this.#pickerError = null;
    this.#note = '';
    this.#progress = null;
    void this.#show('loading');
    const outcome = await this.#loader.load(wanted, (progress) => {
      this.#progress = progress;
      this.requestUpdate();
    });
    switch (outcome.kind) {
      case 'replaced':
        return;
      case 'loaded': {
        const { engine, download } = outcome.model.info;
        void keepEngine(engine.build);
        this.#settings.noteLoaded();
        this.#note = download.notes.map(plainNote).filter(isNew)[0] ?? '';
        this.#goHome();
        if (
          this.#home === 'chat' &&
          this.#conversation.canContinue &&
          this.#conversation.turns.at(-1)?.state === 'interrupted'
        )
          void this.#answer('go on');
        return;
      }
      case 'cancelled':
        return this.#afterLoad();
      case 'failed': {
        const shown = { error: outcome.error, fromHere: wanted === DEFAULT_MODEL };
        this.#retry = () => void this.#load(wanted);
        if (this.#hasChat && this.#home === 'chat') this.#chatError = shown;
        else this.#pickerError = shown;
        return this.#afterLoad();
      }
    }
  }

  /** A task failed, and says so itself. */
  #onFault(error: unknown): void {
    if (isFatal(error)) this.#loader.unload();
    this.requestUpdate();
  }

  get #hasChat(): boolean {
    return this.#model !== null || this.#conversation.turns.length > 0;
  }

  /** Where a load that brought no model leads back to. */
  #afterLoad(): void {
    if (this.#view !== 'loading') return;
    if (this.#home === 'tasks') this.#go('picker');
    else void this.#show(this.#hasChat ? 'chat' : 'picker');
  }

  #mend(remedy: Remedy): void {
    this.#chatError = this.#pickerError = null;
    this.requestUpdate();
    switch (remedy) {
      case 'retry':
        return this.#retry();
      case 'reload-model':
        return void this.#load(this.#loader.wanted);
      case 'use-cpu':
        change({ device: 'cpu' });
        return void this.#load(this.#loader.wanted);
      case 'choose-model':
        if (this.#view === 'picker') return this.#picker.focusAddress();
        return this.#go('picker');
      case 'new-chat':
        return this.#newChat();
      case 'settings':
        return this.#settings.open();
    }
  }

  // The conversation

  #newConversation(saved?: SavedConversation): Conversation {
    // crypto.randomUUID is not there on a page without TLS.
    const id = saved?.id ?? `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    const conversation: Conversation = new Conversation(
      id,
      {
        onError: (error) => conversation === this.#conversation && this.#onChatError(error),
        onChange: () => this.requestUpdate(),
        onGrowth: () => conversation === this.#conversation && this.#autosave.soon(),
      },
      saved?.turns,
    );
    return conversation;
  }

  #ask(question: string): void {
    this.#chatError = null;
    this.#note = '';
    if (!this.#model) {
      this.#chatError = { error: new WeftError('DISPOSED', 'no model is loaded') };
      return this.requestUpdate();
    }
    this.#composer.text = '';
    this.#conversation.ask(question, this.#model);
    void this.updateComplete.then(() => this.#follower?.follow());
  }

  #onExample(example: string): void {
    this.#ask(example);
    this.#composer.focusAfterButton();
  }

  /** The button that asked for it is disabled while the answer streams. */
  async #answer(how: 'anew' | 'go on'): Promise<void> {
    this.#chatError = null;
    if (!this.#model) return this.#onChatError(new WeftError('DISPOSED', 'no model is loaded'));
    void this.#conversation.answer(this.#model, how);
    this.#follower?.follow();
    await this.updateComplete;
    this.#composer.focusAfterButton();
  }

  #onChatError(error: unknown): void {
    if (isFatal(error)) this.#loader.unload();
    // A question that does not fit goes back, to be shortened.
    if (error instanceof WeftError && error.code === 'CONTEXT_OVERFLOW' && this.#composer.text === '')
      queueMicrotask(() => (this.#composer.text = this.#conversation.takeBack()));
    this.#retry = () => void (this.#model ? this.#answer('anew') : this.#load(this.#loader.source));
    this.#chatError = { error };
    this.requestUpdate();
  }

  #newChat(): void {
    this.#use(this.#newConversation(), null);
    this.#go('chat');
  }

  #use(conversation: Conversation, title: string | null): void {
    void this.#autosave.flush();
    this.#conversation.stop();
    this.#conversation = conversation;
    this.#autosave.title = title;
    this.#chatError = null;
    this.requestUpdate();
  }

  async #openChats(): Promise<void> {
    await this.#autosave.flush();
    await this.querySelector<ChatsDialog>('chats-dialog')?.open();
  }

  async #openConversation(id: string): Promise<void> {
    if (id === this.#conversation.id) return this.#go('chat');
    const saved = await savedConversation(id);
    if (!saved) return;
    history.pushState({ view: 'chat', conversation: id } satisfies Entry, '');
    await this.#open(saved);
  }

  /** Shows a saved conversation. Its model is loaded if that costs no download. */
  async #open(saved: SavedConversation): Promise<void> {
    this.#use(this.#newConversation(saved), saved.title);
    if (this.#model || saved.model === null) {
      if (!this.#model) this.#chatError = { error: new WeftError('DISPOSED', 'its model was a file of yours') };
      return this.#show('chat');
    }
    const stored = await models.list().catch(() => []);
    this.#loader.wanted = saved.model;
    if (stored.some(({ source, complete }) => source === saved.model && complete)) return this.#load(saved.model);
    this.#chatError = { error: new WeftError('DISPOSED', `${saved.model} is not stored on this device`) };
    await this.#show('chat');
  }

  #onDeleted(id: string): void {
    if (id !== this.#conversation.id) return;
    this.#autosave.forget(); // a save would bring it back
    this.#use(this.#newConversation(), null);
    if (this.#view === 'chat') this.#go('chat');
  }

  #onRenamed({ id, title }: SavedConversation): void {
    if (id === this.#conversation.id) this.#autosave.title = title;
  }

  get #composer(): ChatComposer {
    return this.find<ChatComposer>('chat-composer');
  }

  get #picker(): ModelPicker {
    return this.find<ModelPicker>('model-picker');
  }

  /** Its methods are there when its part of the page was fetched. */
  get #tasks(): HTMLElement & Pick<TasksView, 'task' | 'open'> & Partial<Pick<TasksView, 'leave'>> {
    return this.find<TasksView>('tasks-view');
  }

  get #settings(): SettingsDialog {
    return this.find<SettingsDialog>('settings-dialog');
  }
}

/** Each note is told once. */
const isNew = (note: string, index: number, all: string[]) => all.indexOf(note) === index;

const logo = html`<svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
  <path class="warp" d="M9 2v28M23 2v28" />
  <path class="thread" d="M2 9h3m8 0h17M2 23h17m8 0h3" />
</svg>`;

customElements.define('weft-page', WeftPage);
