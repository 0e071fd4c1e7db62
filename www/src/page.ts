/** The page: which view is shown, and what connects the views with the model. */

import { html, nothing, type TemplateResult } from 'lit';
import { WeftError, type Llm, type ModelSource, type Progress } from 'weft-llm';
import type { TurnAction } from './chat-turn.js';
import './chat-view.js';
import type { ChatView } from './chat-view.js';
import './chats-dialog.js';
import type { ChatsDialog } from './chats-dialog.js';
import { Component } from './component.js';
import './composer.js';
import type { Asked, ChatComposer } from './composer.js';
import type { Conversation } from './conversation.js';
import { Chats, type ChatsHost } from './conversations/chats.js';
import type { SavedConversation } from './conversations/record.js';
import './drop-target.js';
import './error-note.js';
import type { ShownError } from './error-note.js';
import { isFatal, missingFile, plainNote, type Remedy } from './errors.js';
import './follow-button.js';
import type { FollowButton } from './follow-button.js';
import { header } from './header.js';
import type { InspectorView } from './inspector/view.js';
import { isHere, keepLast } from './last-model.js';
import { ModelLoader } from './loader.js';
import './loading-view.js';
import { DEFAULT_MODEL, type ModelPicker } from './model-picker.js';
import './model-picker.js';
import { given, isGiven } from './models/served.js';
import './note-bar.js';
import type { Note } from './note-bar.js';
import { sourceName } from './names.js';
import { keepEngine } from './offline.js';
import { notHere, Places, type PlacesHost } from './places.js';
import './settings-dialog.js';
import type { SettingsDialog } from './settings-dialog.js';
import { change } from './settings.js';
import { listenForShortcuts } from './shortcuts.js';
import './status-line.js';
import type { TasksView } from './tasks/view.js';
import type { Turn } from './turn.js';
import type { View } from './views.js';
import { ready, t } from './text/text.js';

export class WeftPage extends Component {
  #loader = new ModelLoader();
  #chats = new Chats(this.#host());
  #places = new Places(this.#placesHost());
  #progress: Progress | null = null;
  #chatError: ShownError | null = null;
  #pickerError: ShownError | null = null;
  /** Until the next question, or until it is dismissed. */
  #note: Note | null = null;
  /** What “Try again” under the shown error does. */
  #retry: () => void = () => undefined;

  get #model(): Llm | null {
    return this.#loader.model;
  }

  get #conversation(): Conversation {
    return this.#chats.current;
  }

  protected override render(): TemplateResult {
    const [view, hasModel] = [this.#places.view, this.#model !== null];
    return html`
      <a class="skip" href="#prompt" @click=${this.#skip}>${t('skip')}</a>
      ${header({ view, hasModel, isEmpty: this.#chats.isEmpty }, this.#headerActions)}
      <main id="main" tabindex="-1">
        <model-picker
          .shown=${this.#pickerError}
          ?canGoBack=${this.#places.hasHome}
          home=${this.#places.home}
          @model=${(event: CustomEvent<ModelSource>) => this.#load(event.detail)}
          @back=${() => this.#places.goHome()}
          @remedy=${(event: CustomEvent<Remedy>) => this.#mend(event.detail)}
          @dismiss=${this.#dismiss}
        ></model-picker>
        <chat-view
          .conversation=${this.#conversation}
          .turns=${this.#conversation.turns}
          ?busy=${this.#conversation.busy}
          .model=${this.#model}
          @ask=${(event: CustomEvent<string>) => this.#onExample(event.detail)}
          @turn-action=${(event: CustomEvent<TurnAction>) => this.#chats.act(event.detail)}
          @tasks=${() => this.#places.go('tasks')}
          @compare=${() => this.#places.compare(null)}
        ></chat-view>
        ${
          view === 'compare'
            ? html`<compare-view
                .loader=${this.#loader}
                .conversation=${this.#conversation}
                .turn=${this.#places.compared}
                @back=${() => this.#places.go('chat')}
              ></compare-view>`
            : nothing
        }
        <tasks-view
          .model=${this.#model}
          @task=${(event: CustomEvent<string | null>) => this.#places.go('tasks', event.detail)}
          @models=${() => this.#places.go('picker')}
          @fault=${(event: CustomEvent<unknown>) => this.#onFault(event.detail)}
          @remedy=${(event: CustomEvent<Remedy>) => this.#mend(event.detail)}
        ></tasks-view>
        <inspector-view
          .model=${this.#model}
          ?active=${view === 'inspector'}
          @back=${() => this.#places.go('chat')}
          @remedy=${(event: CustomEvent<Remedy>) => this.#mend(event.detail)}
        ></inspector-view>
        <loading-view
          .progress=${this.#progress}
          ?keeps=${typeof this.#loader.wanted === 'string' && !isGiven(this.#loader.wanted)}
          @cancel=${() => this.#loader.cancel()}
        ></loading-view>
      </main>

      <footer>
        <follow-button ?active=${view === 'chat'} @click=${() => this.#composer.focusAfterButton()}></follow-button>
        <error-note
          id="chat-error"
          .shown=${this.#chatError}
          @remedy=${(event: CustomEvent<Remedy>) => this.#mend(event.detail)}
          @dismiss=${this.#dismiss}
        ></error-note>
        <note-bar .note=${this.#note} @dismiss=${this.#dismiss}></note-bar>
        <chat-composer
          ?busy=${this.#conversation.busy}
          ?sees=${this.#model?.info.inputs.includes('image') ?? false}
          @ask=${(event: CustomEvent<Asked>) => this.#ask(event.detail)}
          @note=${(event: CustomEvent<Note>) => void this.#tell(event.detail)}
          @stop=${() => this.#chats.stop()}
        ></chat-composer>
        <status-line
          .model=${this.#model}
          .source=${this.#loader.source}
          .context=${this.#conversation.context}
        ></status-line>
      </footer>

      <drop-target
        @model=${(event: CustomEvent<ModelSource>) => this.#load(event.detail)}
        @pictures=${(event: CustomEvent<readonly File[]>) => void this.#composer.add(event.detail)}
      ></drop-target>
      <settings-dialog @reload=${() => this.#load(this.#loader.source)}></settings-dialog>
      <chats-dialog
        @open=${(event: CustomEvent<string>) => this.#places.openConversation(event.detail)}
        .chats=${this.#chats}
      ></chats-dialog>
    `;
  }

  #headerActions = {
    go: (view: Exclude<View, 'loading'>) => this.#places.go(view),
    compare: () => void this.#places.compare(null),
    openChats: () => void this.find<ChatsDialog>('chats-dialog').open(),
    newChat: () => this.#newChat(),
    openSettings: () => this.#openSettings(),
  };

  /** The first texts are in the language of the user already. */
  protected override async scheduleUpdate(): Promise<void> {
    if (!this.hasUpdated) await ready;
    await super.scheduleUpdate();
  }

  protected override async firstUpdated(): Promise<void> {
    await this.find<ChatView>('chat-view').updateComplete;
    this.#follower.follow(this.find('main'), this.find('#chat'));
    listenForShortcuts();
    this.#places.begin();
  }

  protected override updated(): void {
    document.body.dataset['view'] = this.#places.view;
  }

  // Views

  #placesHost(): PlacesHost {
    const [chats, loader, task] = [this.#chats, this.#loader, () => this.#tasks.task];
    return {
      chats,
      loader,
      get task() {
        return task();
      },
      leave: (view) => view === 'tasks' && this.#tasks.leave?.(),
      render: () => this.#rendered(),
      enter: (view, task) => this.#enter(view, task),
      load: (model) => this.#load(model),
      open: (saved) => this.#open(saved),
      onFirst: () => this.#onFirst(),
      onViewMissing: (error) => this.#onViewMissing(error),
      onModelMissing: (shown) => void (this.#pickerError = shown),
    };
  }

  async #rendered(): Promise<void> {
    this.requestUpdate();
    await this.updateComplete;
  }

  async #enter(view: View, task: string | null): Promise<void> {
    if (view === 'chat') {
      this.#follower.toEnd();
      return this.#composer.focusPrompt();
    }
    this.find('main').scrollTop = 0;
    if (view === 'inspector') return this.#inspector.focusFirst();
    if (view === 'loading') return this.find('#cancel-load').focus();
    if (view === 'tasks') return this.#tasks.open(task);
    if (view === 'compare') return this.find('#compare-prompt').focus();
    await this.#picker.refresh();
    if (this.#places.view === 'picker' && !this.querySelector('dialog[open]')) this.#picker.focusFirst();
  }

  /** Nothing was pressed that could have lost the focus. */
  async #onFirst(): Promise<void> {
    await this.#picker.refresh();
    this.requestUpdate();
    if (given.length === 1) void this.#load(DEFAULT_MODEL); // `npx weft-llm FILE` has asked for it
  }

  #onViewMissing(error: unknown): void {
    // Chromium remembers that an import failed, and does not fetch it again.
    this.#retry = () => location.reload();
    this.#chatError = { error: new WeftError('WORKER_FAILED', t('fault-view', { error: String(error) })) };
  }

  /** Without a navigation: an address with a fragment would be another entry of the history. */
  #skip(event: Event): void {
    event.preventDefault();
    this.#composer.focusPrompt();
  }

  #dismiss(): void {
    this.#chatError = this.#pickerError = null;
    this.#note = null;
    this.requestUpdate();
    if (this.#places.view === 'chat') this.#composer.focusAfterButton();
    else this.#picker.focusFirst();
  }

  // Models

  async #load(wanted: ModelSource): Promise<void> {
    this.#conversation.stop();
    this.#chatError = this.#pickerError = null;
    this.#note = null;
    this.#progress = null;
    void this.#places.show('loading');
    const outcome = await this.#loader.load(wanted, (progress) => {
      this.#progress = progress;
      this.requestUpdate();
    });
    switch (outcome.kind) {
      case 'replaced':
        return;
      case 'loaded': {
        const { engine, download } = outcome.model.info;
        keepLast(wanted);
        void keepEngine(engine.build);
        this.#settings.noteLoaded();
        const [note] = download.notes;
        this.#note = note === undefined ? null : { text: () => plainNote(note) };
        this.#places.goHome();
        if (this.#places.home === 'chat') this.#chats.resume();
        return;
      }
      case 'cancelled':
        return this.#afterLoad();
      case 'failed': {
        const shown = { error: outcome.error, fromHere: wanted === DEFAULT_MODEL && !isGiven(wanted) };
        this.#retry = () => void this.#load(wanted);
        if (this.#places.hasChat && this.#places.home === 'chat') this.#chatError = shown;
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

  /** Where a load that brought no model leads back to. */
  #afterLoad(): void {
    if (this.#places.view !== 'loading') return;
    if (this.#places.home !== 'chat') this.#places.go('picker');
    else void this.#places.show(this.#places.hasChat ? 'chat' : 'picker');
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
        if (this.#places.view === 'picker') return this.#picker.focusAddress();
        return this.#places.go('picker');
      case 'choose-file':
        return this.#picker.chooseFile();
      case 'new-chat':
        return this.#newChat();
      case 'settings':
        return this.#openSettings();
    }
  }

  // The chat

  #host(): ChatsHost {
    const loader = this.#loader;
    return {
      get model() {
        return loader.model;
      },
      get source() {
        return loader.source;
      },
      onChange: () => this.requestUpdate(),
      onBegin: () => void this.#onBegin(),
      onStay: () => this.#follower.stay(),
      onError: (error) => this.#onChatError(error),
      onNote: (note) => void this.#tell(note),
      onOpen: () => this.#places.go('chat'),
      onDeleted: () => this.#places.view === 'chat' && this.#places.go('chat'),
      onCompare: (turn) => void this.#places.compare(turn),
      onLook: (turn) => void this.#lookInside(turn),
    };
  }

  #ask({ text, pictures }: Asked): void {
    if (this.#model) this.#composer.clear();
    this.#chats.ask(text, pictures);
  }

  #onExample(example: string): void {
    this.#ask({ text: example, pictures: [] });
    this.#composer.focusAfterButton();
  }

  /** What was said about the last answer goes. The button that began this one goes too. */
  async #onBegin(): Promise<void> {
    this.#chatError = this.#note = null;
    this.requestUpdate();
    await this.updateComplete;
    this.#follower.toEnd();
    if (document.activeElement?.id !== 'prompt') this.#composer.focusAfterButton();
  }

  async #tell(note: Note): Promise<void> {
    this.#note = note;
    this.requestUpdate();
    await this.updateComplete;
    if (note.action) this.querySelector<HTMLElement>('#note-action')?.focus();
  }

  async #lookInside(turn: Turn): Promise<void> {
    if (!(await this.#places.fetch('inspector'))) return;
    this.#inspector.look(this.#conversation.messagesUpTo(turn));
    this.#places.go('inspector');
  }

  #onChatError(error: unknown): void {
    if (isFatal(error)) this.#loader.unload();
    // A question that does not fit goes back, to be shortened.
    if (error instanceof WeftError && error.code === 'CONTEXT_OVERFLOW' && this.#composer.text === '')
      queueMicrotask(() => (this.#composer.text = this.#conversation.takeBack()));
    this.#retry = () => void (this.#model ? this.#chats.regenerate() : this.#load(this.#loader.source));
    this.#chatError = this.#shown(error);
    this.requestUpdate();
  }

  /** Without a model, the chat's may have been a file that the page no longer has. */
  #shown(error: unknown): ShownError {
    const { model, file, isSaved } = this.#conversation;
    const isLost = !this.#model && isSaved && model === null && typeof this.#loader.wanted === 'string';
    return isLost ? { error, explanation: () => missingFile(file) } : { error };
  }

  #newChat(): void {
    this.#chatError = this.#note = null;
    this.#chats.begin();
    this.#places.go('chat');
  }

  /** Shows a saved conversation. Its model is loaded if that costs no download. */
  async #open(saved: SavedConversation): Promise<void> {
    this.#chatError = this.#note = null;
    await this.#chats.open(saved);
    const { model, file } = saved;
    if (this.#model && file !== null && file !== sourceName(this.#loader.source)) {
      const action = { label: () => t('remedy-choose-file'), run: () => this.#picker.chooseFile() };
      this.#note = { text: () => t('note-other-model', { file }), action };
    }
    if (!this.#model && model === null) this.#chatError = this.#shown(new WeftError('DISPOSED', t('fault-no-model')));
    if (this.#model || model === null) return this.#places.show('chat');
    this.#loader.wanted = model;
    if (await isHere(model)) return this.#load(model);
    this.#chatError = { error: notHere(model) };
    await this.#places.show('chat');
  }

  #openSettings(): void {
    this.#settings.open(this.#places.view === 'chat' ? this.#conversation : null);
  }

  get #follower(): FollowButton {
    return this.find<FollowButton>('follow-button');
  }

  get #composer(): ChatComposer {
    return this.find<ChatComposer>('chat-composer');
  }

  get #inspector(): InspectorView {
    return this.find<InspectorView>('inspector-view');
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

customElements.define('weft-page', WeftPage);
