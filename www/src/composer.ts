/**
 * The field for a question. With a keyboard, Enter sends and Shift+Enter starts a new line; on a
 * touch keyboard, which has no Shift+Enter, Enter starts a new line. Escape stops an answer;
 * without one, it leaves the field.
 */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { announce } from './announcer.js';
import { Component, hasTouchKeyboard } from './component.js';
import type { Note } from './note-bar.js';
import { isPicture, pictureList, readPicture } from './pictures.js';
import { t } from './text/text.js';

export interface Asked {
  readonly text: string;
  /** `data:` URLs. */
  readonly pictures: readonly string[];
}

/** Sends `ask` with {@link Asked}, `stop`, and `note` with a {@link Note} about a picture. */
export class ChatComposer extends Component {
  static override properties: PropertyDeclarations = { busy: { type: Boolean }, sees: { type: Boolean } };
  /** Whether the model reads pictures. */
  declare sees: boolean;
  #pictures: readonly string[] = [];
  /** While an answer streams, the Send button is a Stop button. The user's draft stays. */
  declare busy: boolean;

  constructor() {
    super();
    this.busy = this.sees = false;
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
      ${pictureList(this.#pictures, (index) => this.#remove(index))}
      <form id="composer" @submit=${this.#onSubmit}>
        ${
          this.sees
            ? html`<label class="button" for="pictures" title=${t('picture-add')}>
                  <span aria-hidden="true">+</span><span class="sr-only">${t('picture-add')}</span>
                </label>
                <input
                  id="pictures"
                  data-testid="pictures"
                  class="sr-only"
                  type="file"
                  accept="image/*"
                  multiple
                  @change=${this.#onFiles}
                />`
            : nothing
        }
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
          @paste=${this.#onPaste}
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
    const detail: Asked = { text, pictures: this.#pictures };
    this.dispatchEvent(new CustomEvent('ask', { detail }));
  }

  /** Takes pictures into the question. */
  async add(files: readonly Blob[]): Promise<void> {
    if (!this.sees) return this.#tell('picture-blind');
    for (const file of files) {
      try {
        this.#pictures = [...this.#pictures, await readPicture(file)];
        announce(t('picture-added', { number: this.#pictures.length }));
      } catch {
        this.#tell('picture-unread');
      }
    }
    this.requestUpdate();
    this.focusAfterButton();
  }

  clear(): void {
    this.text = '';
    this.#pictures = [];
    this.requestUpdate();
  }

  async #remove(index: number): Promise<void> {
    this.#pictures = this.#pictures.toSpliced(index, 1);
    this.requestUpdate();
    await this.updateComplete;
    this.focusAfterButton();
  }

  #tell(text: 'picture-blind' | 'picture-unread'): void {
    const detail: Note = { text: () => t(text) };
    this.dispatchEvent(new CustomEvent('note', { detail }));
  }

  #onFiles(event: Event): void {
    const input = event.target as HTMLInputElement;
    const files = [...(input.files ?? [])];
    input.value = '';
    void this.add(files);
  }

  #onPaste(event: ClipboardEvent): void {
    const files = [...(event.clipboardData?.files ?? [])].filter(isPicture);
    if (files.length === 0) return;
    event.preventDefault();
    void this.add(files);
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
