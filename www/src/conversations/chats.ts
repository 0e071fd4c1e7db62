/** The chat that is open: what the user does with it, how it is saved, and what other tabs do. */

import { WeftError, type Llm, type ModelSource } from 'weft-llm';
import { announce } from '../announcer.js';
import { Autosave } from '../autosave.js';
import type { TurnAction } from '../chat-turn.js';
import { Conversation } from '../conversation.js';
import { newId } from '../names.js';
import { forgetChats, rememberChat, stopRemembering } from '../models/remembered.js';
import type { Note } from '../note-bar.js';
import { savedConversation, saveConversation } from '../saved.js';
import type { Turn } from '../turn.js';
import { titleOf, type SavedConversation } from './record.js';
import { answering, isAnswered, onNews, tell, untilAnswered, type News } from './tabs.js';
import { t } from '../text/text.js';

/** What a chat needs of the page, and tells it. */
export interface ChatsHost {
  readonly model: Llm | null;
  /** Where the model comes from. */
  readonly source: ModelSource;
  onChange(): void;
  /** The user asked for an answer, and it begins. */
  onBegin(): void;
  /** What is shown changes above the end: the end is not to be followed. */
  onStay(): void;
  onError(error: unknown): void;
  onNote(note: Note): void;
  /** Another chat is open now, and is to be shown. */
  onOpen(): void;
  /** The chat was deleted, and a new one is open. */
  onDeleted(): void;
  onCompare(turn: Turn): void;
  onLook(turn: Turn): void;
}

export class Chats {
  #current: Conversation;
  #autosave = new Autosave(() => this.#current);
  /** The chat whose answer in another tab is waited for. */
  #awaited: Conversation | null = null;

  constructor(readonly host: ChatsHost) {
    this.#current = this.#conversation();
    onNews((news) => void this.#onNews(news));
  }

  get current(): Conversation {
    return this.#current;
  }

  get isEmpty(): boolean {
    return this.#current.turns.length === 0;
  }

  #conversation(saved?: SavedConversation): Conversation {
    const isOpen = () => conversation === this.#current;
    const conversation: Conversation = new Conversation(
      {
        onError: (error) => isOpen() && this.host.onError(error),
        onChange: () => this.host.onChange(),
        onGrowth: () => isOpen() && this.#autosave.soon(),
      },
      saved,
    );
    return conversation;
  }

  /** Does what the user wants done with a turn. */
  act(action: TurnAction): void {
    const { turn } = action;
    switch (action.what) {
      case 'regenerate':
        return this.regenerate(turn);
      case 'continue':
        return this.goOn();
      case 'edit':
        return this.#answer((model) => this.#current.edit(turn, action.question, model));
      case 'version':
        this.host.onStay();
        return this.#current.step(turn, action.by);
      case 'branch':
        return void this.#branch(turn);
      case 'look':
        return this.host.onLook(turn);
      case 'compare':
        return this.host.onCompare(turn);
      case 'delete': {
        this.host.onStay();
        const undo = this.#current.delete(turn);
        void forgetChats();
        return this.host.onNote({
          text: () => t('turn-deleted'),
          action: { label: () => t('undo'), run: undo },
        });
      }
    }
  }

  // Questions and answers

  ask(question: string, pictures: readonly string[] = []): void {
    this.#answer((model) => this.#current.ask(question, pictures, model));
  }

  /** Answers a question again, the last one unless another is given. */
  regenerate(turn = this.#current.last): void {
    if (turn) this.#answer((model) => this.#current.regenerate(turn, model));
  }

  goOn(): void {
    this.#answer((model) => this.#current.goOn(model));
  }

  /** Goes on with an answer that ended with its page. */
  resume(): void {
    if (this.#current.canContinue && this.#current.last?.state === 'interrupted') this.goOn();
  }

  #answer(begin: (model: Llm) => Promise<void>): void {
    const { model, source } = this.host;
    if (!model) return this.host.onError(new WeftError('DISPOSED', t('fault-no-model')));
    const conversation = this.#current;
    conversation.answeredBy(source);
    void stopRemembering();
    const saved = async () => {
      await begin(model);
      this.#remember(conversation, model);
      await this.#autosave.flush(conversation);
    };
    answering(conversation.id, saved());
    this.host.onBegin();
  }

  /** Keeps what the model read, for the next visit. */
  #remember(conversation: Conversation, model: Llm): void {
    const { last, context, busy } = conversation;
    if (!last || last.answer === '' || !context || busy || model !== this.host.model) return;
    // what is stored is known by its text
    if (conversation.hasPictures) return;
    rememberChat(model, conversation.messagesUpTo(last), context.tokens);
  }

  stop(): void {
    if (this.#current.isElsewhere) tell({ what: 'stop', id: this.#current.id });
    else this.#current.stop();
  }

  // Which chat is open

  begin(): void {
    this.#use(this.#conversation());
  }

  async open(saved: SavedConversation): Promise<void> {
    this.#use(this.#conversation(saved));
    await this.#follow();
  }

  /** Opens a new chat with the turns up to this one. */
  async #branch(turn: Turn): Promise<void> {
    await this.#autosave.flush();
    const saved = await savedConversation(this.#current.id);
    const title = t('branch-of', { title: saved ? titleOf(saved) : turn.question }).slice(0, 80);
    const branch = this.#current.branchAt(turn, newId(), title);
    await saveConversation(branch);
    await this.open(branch);
    this.host.onOpen();
    announce(t('branch-made'));
  }

  #use(conversation: Conversation): void {
    void this.#autosave.flush();
    this.#current.stop();
    this.#current = conversation;
    this.host.onChange();
  }

  /** Saves now what waits to be saved. */
  save(): Promise<void> {
    return this.#autosave.flush();
  }

  /** A chat was deleted. If it is the open one, a save would bring it back. */
  deleted(id: string): void {
    if (id !== this.#current.id) return;
    void stopRemembering();
    this.#autosave.forget();
    this.#current.takeChanges();
    this.begin();
    this.host.onDeleted();
  }

  /** The list of chats changed something of a chat. */
  changed(id: string): void {
    if (id === this.#current.id) void this.#follow();
  }

  // Other tabs

  async #onNews({ what, id }: News): Promise<void> {
    if (id !== this.#current.id) return;
    if (what === 'saved') return this.#follow();
    if (what === 'stop') return this.#current.stop();
    this.deleted(id);
    this.host.onNote({ text: () => t('chat-deleted-elsewhere') });
  }

  /** Shows what another tab saved, and waits for the end of the answer that it writes. */
  async #follow(): Promise<void> {
    const conversation = this.#current;
    const { id } = conversation;
    await this.#autosave.queue(async () => {
      const [saved, isElsewhere] = await Promise.all([savedConversation(id), isAnswered(id)]);
      if (saved && conversation === this.#current) conversation.follow(saved, isElsewhere);
    });
    if (!conversation.isElsewhere || this.#awaited === conversation) return;
    this.#awaited = conversation;
    void untilAnswered(id).then(() => {
      this.#awaited = null;
      if (conversation === this.#current) void this.#follow();
    });
  }
}
