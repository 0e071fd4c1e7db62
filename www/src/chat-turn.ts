/** A question with its answer, and what can be done with it. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { announce } from './announcer.js';
import { Component } from './component.js';
import { ANOTHER_TEMPERATURE, type Turn } from './conversation.js';
import { MarkdownView } from './markdown/view.js';

/** Sends `regenerate` and `continue`. */
export class ChatTurn extends Component {
  static override properties: PropertyDeclarations = {
    turn: { attribute: false },
    last: { type: Boolean },
    idle: { type: Boolean },
  };
  declare turn: Turn;
  /** Only the last answer can be made anew. */
  declare last: boolean;
  /** Whether a model is there and has nothing to do. */
  declare idle: boolean;
  #view: MarkdownView | undefined;
  #listened: Turn | undefined;
  readonly #onTurn = () => this.requestUpdate();

  protected override willUpdate(): void {
    if (this.#listened === this.turn) return;
    this.#listened?.removeEventListener('change', this.#onTurn);
    this.#listened = this.turn;
    this.turn.addEventListener('change', this.#onTurn);
    this.#view = undefined;
  }

  protected override render(): TemplateResult {
    const { question, stats, state, answer } = this.turn;
    const under = state === 'waiting' || state === 'streaming';
    const unfinished = state === 'stopped' || state === 'interrupted';
    return html`
      <section class="turn" data-state=${state}>
        <h2 class="sr-only">You</h2>
        <p class="question" dir="auto">${question}</p>
        <h2 class="sr-only">Answer</h2>
        <div class="answer" data-testid="answer" aria-busy=${under} @click=${this.#onCopyCode}></div>
        <div class="after" ?inert=${under}>
          <p class="stats" data-testid="stats">${stats || (state === 'interrupted' ? 'interrupted' : nothing)}</p>
          ${
            answer === ''
              ? nothing
              : html`<button type="button" class="copy" aria-label="Copy the answer" @click=${this.#onCopy}>
                  Copy
                </button>`
          }
          ${
            this.last && unfinished
              ? html`<button
                  type="button"
                  data-testid="continue"
                  ?disabled=${!this.idle}
                  @click=${() => this.#send('continue')}
                >
                  Go on
                </button>`
              : nothing
          }
          ${
            this.last
              ? html`<button
                  type="button"
                  data-testid="regenerate"
                  title="Another answer; if the temperature is 0, it is sampled at ${ANOTHER_TEMPERATURE}"
                  ?disabled=${!this.idle}
                  @click=${() => this.#send('regenerate')}
                >
                  Regenerate
                </button>`
              : nothing
          }
        </div>
      </section>
    `;
  }

  protected override updated(): void {
    const { answer, state } = this.turn;
    // A new answer does not begin with the one that it replaces.
    if (this.#view && !answer.startsWith(this.#view.text)) this.#view = undefined;
    this.#view ??= new MarkdownView(this.find('.answer'));
    if (state === 'streaming') this.#view.show(answer);
    else if (this.#view.text !== answer || !this.#finished) this.#view.finish(answer);
    this.#finished = state !== 'streaming';
  }

  #finished = false;

  #send(type: string): void {
    this.dispatchEvent(new Event(type, { bubbles: true }));
  }

  #onCopy(event: Event): void {
    void copy(this.turn.answer, event.currentTarget as HTMLButtonElement);
  }

  #onCopyCode(event: Event): void {
    const button = event.target instanceof Element ? event.target.closest('button') : null;
    const code = button?.closest('.code')?.querySelector('pre');
    if (button && code) void copy(code.textContent ?? '', button);
  }
}

export async function copy(text: string, button: HTMLButtonElement): Promise<void> {
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

customElements.define('chat-turn', ChatTurn);
