/**
 * The field for a question. With a keyboard, Enter sends and Shift+Enter starts a new line; on a
 * touch keyboard, which has no Shift+Enter, Enter starts a new line. Escape stops an answer;
 * without one, it leaves the field.
 */

import { html, type PropertyDeclarations, type TemplateResult } from 'lit';
import { announce } from './announcer.js';
import { Component, hasTouchKeyboard } from './component.js';
import { t } from './text/text.js';

/** Sends `ask` with the text, and `stop`. */
export class ChatComposer extends Component {
  static override properties: PropertyDeclarations = { busy: { type: Boolean } };
  /** While an answer streams, the Send button is a Stop button. The user's draft stays. */
  declare busy: boolean;

  constructor() {
    super();
    this.busy = false;
  }

  get text(): string {
    return this.#prompt?.value ?? '';
  }

  set text(text: string) {
    if (!this.#prompt) return;
    this.#prompt.value = text;
    this.#fit();
  }

  /** `byHand`: a press or a click asked for it, so that a touch keyboard may cover the page. */
  focusPrompt(): void {
    this.#prompt?.focus();
  }

  get #prompt(): HTMLTextAreaElement | null {
    return this.querySelector('textarea');
  }

  protected override render(): TemplateResult {
    const touch = hasTouchKeyboard();
    const hint = touch ? t('composer-hint-touch') : t('composer-hint');
    return html`
      <form id="composer" @submit=${this.#onSubmit}>
        <label class="sr-only" for="prompt">${t('composer-label')}</label>
        <textarea
          id="prompt"
          data-testid="prompt"
          rows="1"
          dir="auto"
          placeholder=${t('composer-placeholder')}
          enterkeyhint=${touch ? 'enter' : 'send'}
          autocomplete="off"
          aria-describedby="prompt-hint"
          @input=${this.#fit}
          @keydown=${this.#onKey}
        ></textarea>
        <button
          type="submit"
          class="primary"
          id="send"
          data-testid="send"
          ?hidden=${this.busy}
          ?disabled=${this.text.trim() === ''}
        >
          ${t('send')}
        </button>
        <button type="button" class="primary" id="stop" data-testid="stop" ?hidden=${!this.busy} @click=${this.#onStop}>
          ${t('stop')}
        </button>
      </form>
      <p id="prompt-hint" class="sr-only">${hint}</p>
    `;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener('keydown', this.#onEscape);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener('keydown', this.#onEscape);
  }

  /** The button that was pressed is gone after the update. */
  protected override willUpdate(): void {
    this.#hadFocus = /^(?:send|stop)$/.test(document.activeElement?.id ?? '');
  }

  #hadFocus = false;

  protected override updated(): void {
    if (this.#hadFocus) this.focusAfterButton();
  }

  /**
   * Where the focus goes when a button that had it is gone: not to a field that opens a keyboard.
   */
  focusAfterButton(): void {
    if (!hasTouchKeyboard()) this.focusPrompt();
    else this.querySelector<HTMLElement>(this.busy ? '#stop' : '#send:enabled')?.focus();
    if (document.activeElement === document.body) document.getElementById('main')?.focus();
  }

  #onSubmit(event: Event): void {
    event.preventDefault();
    const text = this.text.trim();
    if (this.busy || text === '') return;
    this.dispatchEvent(new CustomEvent('ask', { detail: text }));
  }

  #onStop(): void {
    announce(t('stopping'));
    this.dispatchEvent(new Event('stop'));
  }

  #onKey(event: KeyboardEvent): void {
    // An Enter that ends the composition of a character belongs to the input method. Safari signals
    // that only by key code 229.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (hasTouchKeyboard() && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.find<HTMLFormElement>('form').requestSubmit();
  }

  readonly #onEscape = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || event.isComposing || document.querySelector('dialog[open]')) return;
    if (this.busy) this.dispatchEvent(new Event('stop'));
    // Leaves the field, so that keys are shortcuts.
    else if (event.target === this.#prompt) document.getElementById('main')?.focus();
  };

  /** The height follows the text; CSS limits it. */
  #fit(): void {
    const prompt = this.#prompt;
    if (!prompt) return;
    prompt.style.height = 'auto';
    prompt.style.height = `${prompt.scrollHeight + prompt.offsetHeight - prompt.clientHeight}px`;
    this.requestUpdate();
  }
}

customElements.define('chat-composer', ChatComposer);
