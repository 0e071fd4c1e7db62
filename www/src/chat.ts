/**
 * The conversation. A turn is a question with its answer: where there is no answer, because it failed or was stopped
 * before its first word, there is no turn either, and the question goes back to the box it was written in. So roles
 * always alternate, as chat templates want, and nothing that somebody wrote is ever lost.
 */
import type { Finish, Llm, Message } from 'weft-llm';
import { byId } from './dom';
import { Follow } from './follow';
import { isAbort } from './errors';
import type { Settings } from './settings';
import { describeFinish, TurnView } from './turn-view';

interface Turn {
  readonly question: string;
  readonly view: TurnView;
  answer: string;
  note: string;
}

export interface ChatActions {
  /** An answer began or ended. */
  busy(busy: boolean): void;
  /** This question got no answer. */
  giveBack(question: string): void;
  failed(error: unknown): void;
}

export class Chat {
  readonly #list = byId('turns', HTMLOListElement);
  readonly #welcome = byId('welcome', HTMLElement);
  readonly #announcer = byId('announcer', HTMLElement);
  readonly #follow = new Follow();
  readonly #settings: Settings;
  readonly #actions: ChatActions;
  #turns: readonly Turn[] = [];
  #llm: Llm | undefined;
  #answering: AbortController | undefined;

  constructor(settings: Settings, actions: ChatActions) {
    this.#settings = settings;
    this.#actions = actions;
  }

  get isEmpty(): boolean {
    return this.#turns.length === 0;
  }

  /** Answers come from this model from now on; undefined: from none. */
  useModel(llm: Llm | undefined): void {
    this.stop();
    this.#llm = llm;
  }

  stop(): void {
    this.#answering?.abort();
  }

  /** Starts anew and returns what takes that back. */
  clear(): () => void {
    this.stop();
    const before = this.#turns;
    this.#setTurns([]);
    return () => this.#setTurns([...before, ...this.#turns]);
  }

  async ask(question: string): Promise<void> {
    const view = new TurnView(question, {
      regenerate: () => void this.#regenerate(turn),
      grown: () => this.#follow.grown(),
    });
    const turn: Turn = { question, view, answer: '', note: '' };
    this.#setTurns([...this.#turns, turn]);
    this.#follow.jump();
    if (await this.#answer(turn)) return;
    this.#setTurns(this.#turns.filter((other) => other !== turn));
    this.#actions.giveBack(question);
  }

  /** Answers the last question once more; the answer before stays where that fails. */
  async #regenerate(turn: Turn): Promise<void> {
    const { answer, note } = turn;
    if (this.#answering) return;
    this.#follow.jump();
    if (await this.#answer(turn)) return;
    Object.assign(turn, { answer, note });
    turn.view.finish(answer, note);
  }

  /** Streams an answer into the turn. False where not a word of it came. */
  async #answer(turn: Turn): Promise<boolean> {
    const llm = this.#llm;
    if (!llm) return false;
    const abort = new AbortController();
    const options = this.#settings.generateOptions;
    let finish: Finish | null = null;
    let failure: unknown;
    turn.answer = '';
    turn.view.stream('');
    this.#answering = abort;
    this.#actions.busy(true);
    this.#announcer.textContent = 'Answering';
    try {
      for await (const piece of llm.chat(this.#messages(turn), { ...options, signal: abort.signal })) {
        turn.answer += piece.text;
        finish = piece.finish;
        turn.view.stream(turn.answer);
      }
    } catch (error) {
      failure = error;
    }
    turn.note = finish ? describeFinish(finish, llm.info.contextLength, options.maxTokens) : 'Interrupted';
    if (turn.answer === '' && finish?.reason === 'stop') turn.note = `The model had nothing to say · ${turn.note}`;
    turn.view.finish(turn.answer, turn.note);
    this.#follow.grown();
    this.#answering = undefined;
    this.#actions.busy(false);
    // All at once and at the end: read out token by token, an answer is noise.
    this.#announcer.textContent = turn.answer === '' ? 'No answer' : `Answer: ${turn.answer}`;
    if (failure !== undefined && !isAbort(failure)) this.#actions.failed(failure);
    return turn.answer !== '' || finish?.reason === 'stop';
  }

  #messages(last: Turn): Message[] {
    const system = this.#settings.systemPrompt;
    const messages: Message[] = system === '' ? [] : [{ role: 'system', content: system }];
    for (const turn of this.#turns) {
      messages.push({ role: 'user', content: turn.question });
      if (turn !== last) messages.push({ role: 'assistant', content: turn.answer });
    }
    return messages;
  }

  #setTurns(turns: readonly Turn[]): void {
    this.#turns = turns;
    this.#list.replaceChildren(...turns.map(({ view }) => view.element));
    this.#welcome.hidden = turns.length > 0;
  }
}
