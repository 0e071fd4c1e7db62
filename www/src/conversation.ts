/** A conversation: its turns, the answer that streams, and what the model gets to read. */

import { WeftError, type Finish, type Llm, type Message, type ModelSource, type Session } from 'weft-llm';
import { announce } from './announcer.js';
import {
  emptyConversation,
  treeOf,
  type Changes,
  type SavedConversation,
  type Values,
} from './conversations/record.js';
import { add, before, EMPTY, path, putBack, remove, show, START, versions, type Tree } from './conversations/tree.js';
import { live } from './live.js';
import { noteSpeed } from './models/speed.js';
import { newId, sourceName } from './names.js';
import { contentOf } from './pictures.js';
import { chatDefaults, generateSettings, systemPrompt } from './settings.js';
import { ANOTHER_TEMPERATURE, settled, statsOf, Turn, type ContextUse, type Version } from './turn.js';
import { t } from './text/text.js';

export interface ConversationEvents {
  onError(error: unknown): void;
  /** Called when the turns, or the state of one, change. */
  onChange(): void;
  /** Called when there is more to save, for each piece of an answer too. */
  onGrowth(): void;
}

export class Conversation {
  readonly id: string;
  /** Null: the settings of new chats. */
  settings: Values | null;
  /** Where the model came from that answered last. */
  model: string | null;
  file: string | null;
  context: ContextUse | null = null;
  /** Whether it was saved once: it is no new one. */
  isSaved: boolean;
  /** Another tab answers in it. */
  isElsewhere = false;
  #tree: Tree = EMPTY;
  #path: readonly Turn[] = [];
  #turns = new Map<string, Turn>();
  /** What this tab showed after a turn: another tab does not change it. */
  #chosen = new Map<string, string>();
  #running: AbortController | null = null;
  #answered: Turn | null = null;
  /** What is not saved yet: turns by their ids, and whether anything else changed. */
  #changed = new Set<string>();
  #removed = new Set<string>();
  #isChanged = false;
  #hasNewSettings = false;

  constructor(
    readonly events: ConversationEvents,
    saved = emptyConversation(newId()),
  ) {
    this.id = saved.id;
    ({ settings: this.settings, model: this.model, file: this.file } = saved);
    this.isSaved = saved.turns.length > 0;
    this.#read(saved);
  }

  /** The turns that are shown; another array whenever others are. */
  get turns(): readonly Turn[] {
    return this.#path;
  }

  get busy(): boolean {
    return this.#running !== null || this.isElsewhere;
  }

  get last(): Turn | undefined {
    return this.#path.at(-1);
  }

  /** Whether the last answer can be written on from where it ended. */
  get canContinue(): boolean {
    return !this.busy && ['interrupted', 'stopped'].includes(this.last?.state ?? '');
  }

  versionOf({ id }: Turn): Version {
    const all = versions(this.#tree, id);
    return { at: all.indexOf(id) + 1, of: all.length };
  }

  stop(): void {
    this.#running?.abort();
  }

  // Questions and answers; each call waits for the end of its answer

  ask(question: string, pictures: readonly string[], model: Llm): Promise<void> {
    return this.#begin(new Turn(question, pictures), this.last?.id ?? START, model);
  }

  /** Asks another question instead; the earlier one stays as a version, if it has an answer. */
  async edit(turn: Turn, question: string, model: Llm): Promise<void> {
    if (this.busy) return;
    const parent = this.#parentOf(turn);
    if (turn.answer === '') this.#drop(turn);
    await this.#begin(new Turn(question, turn.pictures), parent, model);
  }

  /** Answers a question again, in another version of the turn. */
  async regenerate(turn: Turn, model: Llm): Promise<void> {
    if (this.busy) return;
    if (turn.answer === '') return this.#answer(turn, model);
    const another = new Turn(turn.question, turn.pictures);
    await this.#begin(another, this.#parentOf(turn), model, turn);
    // The earlier answer is shown if the new one did not start.
    if (another.answer !== '') return;
    this.#drop(another);
    this.show(turn);
  }

  /** Writes the last answer on from where it ended. */
  async goOn(model: Llm): Promise<void> {
    if (this.canContinue) await this.#answer(this.last!, model, { prefix: this.last!.answer });
  }

  /** Takes back the last question, if it got no answer. */
  takeBack(): string {
    const { last } = this;
    if (this.busy || !last || last.answer !== '') return '';
    this.#drop(last);
    this.#report();
    return last.question;
  }

  // Branches

  /** Shows this turn instead of its other versions. */
  show(turn: Turn): void {
    this.#chosen.set(this.#parentOf(turn), turn.id);
    this.#place(show(this.#tree, turn.id));
    this.context = null;
    this.#report();
  }

  /** Shows the next version of a turn, or the previous one with -1. */
  step(turn: Turn, by: 1 | -1): void {
    const all = versions(this.#tree, turn.id);
    const other = this.#turns.get(all[all.indexOf(turn.id) + by] ?? '');
    if (other && !this.busy) this.show(other);
  }

  /** Removes a turn; what follows it stays. Returns what brings it back. */
  delete(turn: Turn): () => void {
    const former = this.#tree;
    this.#drop(turn);
    this.context = null;
    this.#report();
    return () => {
      this.#turns.set(turn.id, turn);
      this.#removed.delete(turn.id);
      this.#place(putBack(this.#tree, turn.id, former));
      this.#chosen.set(this.#parentOf(turn), turn.id);
      for (const [id, parent] of this.#tree.parents) if (parent === turn.id) this.#changed.add(id);
      this.#report(turn);
    };
  }

  /** A new conversation with the turns up to this one. */
  branchAt(turn: Turn, id: string, title: string): SavedConversation {
    const turns = [...before(this.#tree, turn.id), turn.id].map((id) => this.#turns.get(id)!);
    const saved = turns.map((one, index) => ({ ...one.content, id: one.id, parent: turns[index - 1]?.id ?? START }));
    const { model, file, settings } = this;
    return { id, title, changed: Date.now(), turns: saved.map(settled), shown: {}, model, file, settings };
  }

  #parentOf({ id }: Turn): string {
    return this.#tree.parents.get(id) ?? START;
  }

  #place(tree: Tree): void {
    this.#tree = tree;
    this.#path = path(tree).map((id) => this.#turns.get(id)!);
    this.#isChanged = true;
  }

  #drop(turn: Turn): void {
    const { id } = turn;
    const parent = this.#parentOf(turn);
    this.#turns.delete(id);
    this.#changed.delete(id);
    this.#removed.add(id);
    this.#place(remove(this.#tree, id));
    const next = this.#tree.shown.get(parent);
    if (next === undefined) this.#chosen.delete(parent);
    else this.#chosen.set(parent, next);
  }

  // Saving, and following another tab

  /** Remembers where the model comes from that answers. */
  answeredBy(source: ModelSource): void {
    this.model = typeof source === 'string' ? source : null;
    this.file = typeof source === 'string' ? null : sourceName(source);
  }

  changeSettings(settings: Values): void {
    this.settings = settings;
    this.#hasNewSettings = this.#isChanged = true;
    this.#report();
  }

  /** What changed since the last call; null if nothing did, or there is nothing yet. */
  takeChanges(): Changes | null {
    const { settings, model, file } = this;
    if (!this.#isChanged || (!this.isSaved && this.#turns.size === 0)) return null;
    const turns = [...this.#changed].map((id) => ({
      ...this.#turns.get(id)!.content,
      id,
      parent: this.#tree.parents.get(id)!,
    }));
    const removed = [...this.#removed];
    const when = turns.length + removed.length > 0 ? { changed: Date.now() } : {};
    const how = this.#hasNewSettings ? { settings } : {};
    this.#changed.clear();
    this.#removed.clear();
    this.#hasNewSettings = this.#isChanged = false;
    this.isSaved = true;
    return { model, file, shown: Object.fromEntries(this.#tree.shown), turns, removed, ...when, ...how };
  }

  /** Becomes what another tab saved, but for what this tab did not save yet. */
  follow(saved: SavedConversation, isElsewhere: boolean): void {
    this.isElsewhere = isElsewhere && this.#running === null;
    if (!this.#hasNewSettings) this.settings = saved.settings;
    this.#read(saved);
    this.events.onChange();
  }

  #read(saved: SavedConversation): void {
    const mine = (id: string) => this.#changed.has(id) || id === this.#answered?.id;
    for (const stored of saved.turns) {
      if (mine(stored.id) || this.#removed.has(stored.id)) continue;
      const { id, question, pictures, answer, state, stats } = this.isElsewhere ? stored : settled(stored);
      const turn = this.#turns.get(id) ?? new Turn(question, pictures, id);
      this.#turns.set(id, turn);
      if (turn.answer !== answer || turn.state !== state) turn.set({ answer, state, stats });
    }
    let tree = treeOf(saved);
    tree = { ...tree, shown: new Map([...tree.shown, ...this.#chosen]) };
    for (const id of this.#removed) tree = remove(tree, id);
    for (const id of this.#turns.keys()) {
      if (tree.parents.has(id)) continue;
      if (mine(id)) tree = add(tree, id, this.#tree.parents.get(id) ?? START);
      else this.#turns.delete(id);
    }
    this.#tree = tree;
    this.#path = path(tree).map((id) => this.#turns.get(id)!);
  }

  // The answer

  async #begin(turn: Turn, parent: string, model: Llm, former?: Turn): Promise<void> {
    if (this.busy) return;
    this.#turns.set(turn.id, turn);
    this.#changed.add(turn.id);
    this.#chosen.set(parent, turn.id);
    this.#place(add(this.#tree, turn.id, parent));
    await this.#answer(turn, model, { former });
  }

  /** `prefix`: how the answer starts. `former`: the version that has an answer already. */
  async #answer(turn: Turn, model: Llm, { prefix = '', former }: { prefix?: string; former?: Turn | undefined } = {}) {
    if (this.busy) return;
    const running = new AbortController();
    this.#running = running;
    this.#answered = turn;
    if (this.settings === null) {
      this.settings = chatDefaults();
      this.#hasNewSettings = true;
    }
    const start = { answer: turn.answer, stats: turn.stats, state: turn.state };
    turn.set({ state: 'waiting', stats: '' });
    this.#report(turn);
    try {
      const finish = await this.#stream(turn, model, prefix, former !== undefined, running.signal);
      const cut = finish.reason !== 'stop';
      turn.set({ stats: statsOf(finish, this.context), state: cut ? 'stopped' : 'answered' });
      announce(finish.reason === 'abort' ? t('answer-stopped') : t('answer-complete'));
    } catch (error) {
      // What there was stays if nothing came.
      if (turn.state === 'waiting') turn.set(start);
      else turn.set({ state: 'stopped' });
      if (this.#turns.has(turn.id)) this.events.onError(error);
    } finally {
      if (turn.answer === '') turn.set({ state: 'unanswered' });
      this.#running = this.#answered = null;
      this.#report(turn);
    }
  }

  async #stream(turn: Turn, model: Llm, prefix: string, again: boolean, signal: AbortSignal): Promise<Finish> {
    const settings = generateSettings(this.settings);
    if (again && settings.temperature === 0) settings.temperature = ANOTHER_TEMPERATURE;
    // Turns that no longer fit are left out, oldest first; what the turns have in common with
    // earlier answers is in the KV cache still.
    const session = model.session({
      messages: this.messagesBefore(turn, model.info.inputs.includes('image')),
      overflow: 'truncate-oldest-turns',
    });
    let end: Finish | undefined;
    const inspect = live.wanted;
    try {
      const more = { ...(prefix === '' ? {} : { prefix }), ...(inspect ? { inspect } : {}) };
      const message = { role: 'user', content: contentOf(turn.question, turn.pictures) } as const;
      const pieces = session.send(message, { ...settings, signal, ...more });
      for await (const { text, id, inspection, finish } of pieces) {
        if (inspection && id !== null) live.see({ id, text, inspection });
        if (text !== '') {
          const began = turn.state !== 'streaming';
          turn.set({ answer: (began ? prefix : turn.answer) + text, state: 'streaming' });
          this.#changed.add(turn.id);
          this.#isChanged = true;
          if (began) this.events.onChange();
          this.events.onGrowth();
        }
        if (finish) end = finish;
      }
      if (!end) throw new WeftError('INTERNAL', 'the answer ended without saying why');
      this.#measure(session);
      noteSpeed(model.info, end.usage);
      return end;
    } finally {
      session.dispose();
    }
  }

  #measure({ contextUsage, contextLength, dropped }: Session): void {
    this.context = { tokens: contextUsage, of: contextLength, left: dropped.messages };
  }

  /** What the model reads before a turn, and the turn. */
  messagesUpTo(turn: Turn): Message[] {
    const { question, answer } = turn;
    return [...this.messagesBefore(turn), { role: 'user', content: question }, { role: 'assistant', content: answer }];
  }

  /** Whether a question that is shown has pictures. */
  get hasPictures(): boolean {
    return this.#path.some(({ pictures }) => pictures.length > 0);
  }

  /** What the model reads before a turn, with pictures if it `sees`. */
  messagesBefore(turn: Turn, sees = false): Message[] {
    const system = systemPrompt(this.settings).trim();
    const messages: Message[] = system === '' ? [] : [{ role: 'system', content: system }];
    for (const id of before(this.#tree, turn.id)) {
      const { question, pictures, answer } = this.#turns.get(id)!;
      // A question without an answer would put two user messages in a row, which many templates
      // refuse.
      if (answer === '') continue;
      const content = contentOf(question, sees ? pictures : []);
      messages.push({ role: 'user', content }, { role: 'assistant', content: answer });
    }
    return messages;
  }

  #report(turn?: Turn): void {
    if (turn && this.#turns.has(turn.id)) {
      this.#changed.add(turn.id);
      this.#isChanged = true;
    }
    this.events.onChange();
    this.events.onGrowth();
  }
}
