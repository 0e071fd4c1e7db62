/** The conversation: its turns, the streaming answer, and actions on both. */

import { WeftError, type Finish, type Llm, type Message } from 'weft-llm';
import { announce, byId, cloneTemplate, within } from './dom.js';
import { MarkdownView } from './markdown.js';
import { generateSettings, systemPrompt } from './settings.js';

interface Turn {
  readonly question: string;
  /** Markdown as the model wrote it. */
  answer: string;
  readonly element: HTMLElement;
}

/**
 * Temperature of a new answer when the setting is 0. The title of the button in index.html names
 * it.
 */
const ANOTHER_TEMPERATURE = 0.8;

const turnList = byId('turns', HTMLElement);
const welcome = byId('welcome', HTMLElement);

export interface ChatEvents {
  onError(error: unknown): void;
  /** Called when an answer starts or ends, or the number of turns changes. */
  onChange(): void;
}

export class Chat {
  model: Llm | null = null;
  #turns: Turn[] = [];
  #running: AbortController | null = null;
  #events: ChatEvents;

  constructor(events: ChatEvents) {
    this.#events = events;
    turnList.addEventListener('click', (event) => this.#onClick(event));
  }

  get busy(): boolean {
    return this.#running !== null;
  }

  get empty(): boolean {
    return this.#turns.length === 0;
  }

  /** Sends a question. Without a model, returns false and shows nothing. */
  send(question: string): boolean {
    if (this.busy) return false;
    if (!this.model) {
      this.#events.onError(new WeftError('DISPOSED', 'no model is loaded'));
      return false;
    }
    const element = cloneTemplate('turn-template');
    within(element, '.question', HTMLElement).textContent = question;
    this.#turns.push({ question, answer: '', element });
    this.#show();
    void this.regenerate();
    return true;
  }

  stop(): void {
    this.#running?.abort();
  }

  /** Answers the last question, again if it already has an answer. */
  async regenerate(): Promise<void> {
    const turn = this.#turns.at(-1);
    if (!turn || this.busy) return;
    if (!this.model) return this.#events.onError(new WeftError('DISPOSED', 'no model is loaded'));
    const running = new AbortController();
    this.#running = running;
    turn.element.dataset['state'] = 'waiting';
    this.#events.onChange();
    try {
      const finish = await this.#answer(turn, this.model, running.signal);
      within(turn.element, '.stats', HTMLElement).textContent = describe(finish, this.model.info.contextLength);
      announce(finish?.reason === 'abort' ? 'The answer was stopped.' : `Answer: ${textOf(turn)}`);
    } catch (error) {
      if (this.#turns.includes(turn)) this.#events.onError(error);
    } finally {
      turn.element.dataset['state'] = turn.answer === '' ? 'unanswered' : 'answered';
      this.#running = null;
      this.#events.onChange();
    }
  }

  /**
   * Streams an answer into the turn. An earlier answer stays until the new one starts, and for good
   * if that fails.
   */
  async #answer(turn: Turn, model: Llm, signal: AbortSignal): Promise<Finish | null> {
    const place = within(turn.element, '.answer', HTMLElement);
    const earlier = turn.answer;
    turn.answer = ''; // the model must not see the answer that it replaces
    let view: MarkdownView | null = null;
    const settings = generateSettings();
    // At temperature 0 the answer would be the same again.
    if (earlier !== '' && settings.temperature === 0) settings.temperature = ANOTHER_TEMPERATURE;
    try {
      for await (const piece of model.chat(this.#messages(), { ...settings, signal })) {
        if (piece.text !== '') {
          if (!view) {
            place.replaceChildren();
            within(turn.element, '.stats', HTMLElement).textContent = '';
            turn.element.dataset['state'] = 'streaming';
            view = new MarkdownView(place);
          }
          turn.answer += piece.text;
          view.append(piece.text);
        }
        if (piece.finish) return piece.finish;
      }
      return null;
    } finally {
      if (view) view.finish();
      else turn.answer = earlier;
    }
  }

  #messages(): Message[] {
    const system = systemPrompt().trim();
    const messages: Message[] = system === '' ? [] : [{ role: 'system', content: system }];
    for (const turn of this.#turns) {
      const last = turn === this.#turns.at(-1);
      // A question without an answer would put two user messages in a row, which many templates
      // refuse.
      if (!last && turn.answer === '') continue;
      messages.push({ role: 'user', content: turn.question });
      if (!last) messages.push({ role: 'assistant', content: turn.answer });
    }
    return messages;
  }

  /**
   * Clears the conversation. Returns a function that restores it, and the last question if it is
   * unanswered.
   */
  clear(): { restore: () => void; unanswered: string } {
    this.stop();
    const turns = this.#turns;
    const last = turns.at(-1);
    this.#turns = [];
    this.#show();
    return {
      unanswered: last?.answer === '' ? last.question : '',
      restore: () => {
        this.#turns = [...turns, ...this.#turns];
        this.#show();
      },
    };
  }

  #show(): void {
    const elements = this.#turns.map(({ element }) => element);
    // Replacing all elements would lose the reader's selection and scroll position.
    for (const child of [...turnList.children]) if (!elements.includes(child as HTMLElement)) child.remove();
    elements.forEach((element, index) => {
      if (turnList.children[index] !== element) turnList.insertBefore(element, turnList.children[index] ?? null);
    });
    welcome.hidden = elements.length > 0;
    this.#events.onChange();
  }

  #onClick(event: MouseEvent): void {
    const button = event.target instanceof Element ? event.target.closest('button') : null;
    if (!button) return;
    if (button.classList.contains('regenerate')) void this.regenerate();
    if (button.classList.contains('copy')) {
      const code = button.closest('.code')?.querySelector('pre');
      const turn = this.#turns.find(({ element }) => element.contains(button));
      void copy(code ? (code.textContent ?? '') : (turn?.answer ?? ''), button);
    }
  }
}

async function copy(text: string, button: HTMLButtonElement): Promise<void> {
  let done = 'Copied';
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    done = 'Not allowed'; // by the user, or because the page was not served over TLS
  }
  announce(done);
  button.textContent = done;
  setTimeout(() => (button.textContent = 'Copy'), 1500);
}

const textOf = (turn: Turn) => within(turn.element, '.answer', HTMLElement).textContent ?? '';

function describe(finish: Finish | null, contextLength: number): string {
  if (!finish) return '';
  const { usage, reason } = finish;
  const tokens = (count: number) => `${count} ${count === 1 ? 'token' : 'tokens'}`;
  const full = usage.promptTokens + usage.completionTokens >= contextLength;
  const ends = { stop: [], abort: ['stopped'], length: [full ? 'the context is full' : 'cut at the longest answer'] };
  return [
    ...ends[reason],
    `${usage.tokensPerSecond.toFixed(1)} tokens/s`,
    `first after ${(usage.timeToFirstTokenMs / 1000).toFixed(2)} s`,
    tokens(usage.completionTokens),
    `prompt ${usage.promptTokens}` + (usage.cachedTokens > 0 ? ` (${usage.cachedTokens} cached)` : ''),
  ].join(' · ');
}
