/** A question with its answer, and what can be done with it. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { announce } from './announcer.js';
import { Component } from './component.js';
import { ANOTHER_TEMPERATURE, written, type Turn, type Version } from './turn.js';
import { MarkdownView } from './markdown/view.js';
import { pictureList } from './pictures.js';
import { t } from './text/text.js';

/** What the user wants done with a turn. */
export type TurnAction =
  | { what: 'regenerate' | 'continue' | 'branch' | 'look' | 'compare' | 'delete'; turn: Turn }
  | { what: 'edit'; turn: Turn; question: string }
  | { what: 'version'; turn: Turn; by: 1 | -1 };

/** Sends `turn-action` with a {@link TurnAction}. */
export class ChatTurn extends Component {
  static override properties: PropertyDeclarations = {
    turn: { attribute: false },
    version: { attribute: false },
    last: { type: Boolean },
    busy: { type: Boolean },
    hasModel: { type: Boolean },
  };
  declare turn: Turn;
  declare version: Version;
  /** Only the last answer can be gone on with. */
  declare last: boolean;
  declare busy: boolean;
  declare hasModel: boolean;
  #view: MarkdownView | undefined;
  #listened: Turn | undefined;
  #isEdited = false;
  #isOpen = false;
  #finished = false;
  readonly #onTurn = () => this.requestUpdate();

  protected override willUpdate(): void {
    if (this.#listened === this.turn) return;
    this.#listened?.removeEventListener('change', this.#onTurn);
    this.#listened = this.turn;
    this.turn.addEventListener('change', this.#onTurn);
    this.#view = undefined;
    this.#isEdited = this.#isOpen = false;
  }

  protected override render(): TemplateResult {
    const { stats, state, answer } = this.turn;
    const under = state === 'waiting' || state === 'streaming';
    const unfinished = state === 'stopped' || state === 'interrupted';
    const canAnswer = this.hasModel && !this.busy;
    const figures = stats ? written(stats) : state === 'interrupted' ? t('stats-interrupted') : nothing;
    return html`
      <section class="turn" data-state=${state}>
        <h2 class="sr-only">${t('turn-you')}</h2>
        ${this.#isEdited ? this.#editor() : this.#question(canAnswer)}
        <h2 class="sr-only">${t('turn-answer')}</h2>
        <div class="answer" data-testid="answer" aria-busy=${under} @click=${this.#onCopyCode}></div>
        <div class="after" ?inert=${under}>
          <p class="stats" data-testid="stats">${figures}</p>
          ${
            answer === ''
              ? nothing
              : html`<button type="button" class="copy" aria-label=${t('turn-copy')} @click=${this.#onCopy}>
                    ${t('copy')}
                  </button>
                  <button
                    type="button"
                    data-testid="look-inside"
                    ?disabled=${this.busy || !this.hasModel}
                    @click=${() => this.#send('look')}
                  >
                    ${t('turn-look')}
                  </button>`
          }
          ${
            this.last && unfinished
              ? html`<button
                  type="button"
                  data-testid="continue"
                  ?disabled=${!canAnswer}
                  @click=${() => this.#send('continue')}
                >
                  ${t('turn-go-on')}
                </button>`
              : nothing
          }
          <button
            type="button"
            class="regenerate"
            data-testid="regenerate"
            title=${t('turn-regenerate.title', { temperature: ANOTHER_TEMPERATURE })}
            ?disabled=${!canAnswer}
            @click=${() => this.#send('regenerate')}
          >
            ${t('turn-regenerate')}
          </button>
          <button type="button" class="more" aria-expanded=${this.#isOpen} @click=${this.#toggle}>
            ${t('turn-more')}
          </button>
          ${this.#isOpen ? this.#more() : nothing}
        </div>
      </section>
    `;
  }

  #question(canAnswer: boolean): TemplateResult {
    const { at, of } = this.version;
    const step = (by: 1 | -1, label: string, sign: string) =>
      // A disabled button would lose the focus.
      html`<button
        type="button"
        aria-label=${label}
        aria-disabled=${this.busy || at + by < 1 || at + by > of}
        @click=${() => this.#act({ what: 'version', turn: this.turn, by })}
      >
        ${sign}
      </button>`;
    return html`${pictureList(this.turn.pictures)}
      <p class="question" dir="auto">${this.turn.question}</p>
      <div class="asked">
        <button
          type="button"
          class="edit"
          aria-label=${t('turn-edit.label')}
          ?disabled=${!canAnswer}
          @click=${this.#edit}
        >
          ${t('turn-edit')}
        </button>
        ${
          of > 1
            ? html`<span class="versions" role="group" aria-label=${t('turn-versions')} dir="ltr">
                ${step(-1, t('turn-previous'), '‹')}
                <span><span class="sr-only">${t('turn-version')} </span>${at} / ${of}</span>
                ${step(1, t('turn-next'), '›')}
              </span>`
            : nothing
        }
      </div>`;
  }

  #editor(): TemplateResult {
    return html`<form class="editor" @submit=${this.#onEdited} @keydown=${this.#onEditorKey}>
      <textarea aria-label=${t('turn-edited')} dir="auto" .value=${this.turn.question}></textarea>
      <div class="asked">
        <button type="button" @click=${this.#endEditing}>${t('cancel')}</button>
        <button type="submit" class="primary" ?disabled=${this.busy}>${t('send')}</button>
      </div>
    </form>`;
  }

  #more(): TemplateResult {
    const button = (what: 'branch' | 'compare' | 'delete') =>
      html`<button
        type="button"
        class=${what}
        title=${t(`turn-${what}.title`)}
        ?disabled=${this.busy || (what === 'compare' && !this.hasModel)}
        @click=${() => this.#send(what)}
      >
        ${t(`turn-${what}`)}
      </button>`;
    return html`${button('branch')} ${button('compare')} ${button('delete')}`;
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

  #send(what: 'regenerate' | 'continue' | 'branch' | 'look' | 'compare' | 'delete'): void {
    this.#act({ what, turn: this.turn });
  }

  #act(detail: TurnAction): void {
    this.dispatchEvent(new CustomEvent('turn-action', { detail, bubbles: true }));
  }

  #toggle(): void {
    this.#isOpen = !this.#isOpen;
    this.requestUpdate();
  }

  async #edit(): Promise<void> {
    this.#isEdited = true;
    this.requestUpdate();
    await this.updateComplete;
    const field = this.find<HTMLTextAreaElement>('.editor textarea');
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }

  async #endEditing(): Promise<void> {
    this.#isEdited = false;
    this.requestUpdate();
    await this.updateComplete;
    this.find('.edit').focus();
  }

  #onEditorKey(event: KeyboardEvent): void {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Escape') {
      event.preventDefault();
      void this.#endEditing();
    } else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      (event.currentTarget as HTMLFormElement).requestSubmit();
    }
  }

  #onEdited(event: Event): void {
    event.preventDefault();
    const question = this.find<HTMLTextAreaElement>('.editor textarea').value.trim();
    if (question === '') return;
    this.#isEdited = false;
    this.requestUpdate();
    this.#act({ what: 'edit', turn: this.turn, question });
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
  let done = t('copied');
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    done = t('copy-refused'); // by the user, or because the page was not served over TLS
  }
  announce(done);
  // The node stays: it is Lit's, which writes another language into it.
  const label = [...button.childNodes].find((node) => node instanceof Text && node.data.trim() !== '') as Text;
  label.data = done;
  setTimeout(() => (label.data = t('copy')), 1500);
}

customElements.define('chat-turn', ChatTurn);
