/** The ways to choose a model: the default one, a stored one, an address, files of the user. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { createRef, ref } from 'lit/directives/ref.js';
import { models, type ModelSource, type StoredModel } from 'weft-llm';
import { announce } from './announcer.js';
import { Component, formatBytes } from './component.js';
import { inOrder } from './drops.js';
import type { ShownError } from './error-note.js';
import { fileName } from './names.js';

/** Served by `npm start` and by Vite's preview. Relative, so that the page works in any folder. */
export const DEFAULT_MODEL = new URL('models/SmolLM2-135M-Instruct.Q4_1.gguf', document.baseURI).href;

/** Matches all parts of a split model but the first; they cannot be loaded by themselves. */
const LATER_PART = /-(?!00001)\d{5}-of-\d{5}\.gguf$/;

/** Sends `model` with a ModelSource, `remedy` and `dismiss` of its error, and `back`. */
export class ModelPicker extends Component {
  static override properties: PropertyDeclarations = {
    shown: { attribute: false },
    canGoBack: { type: Boolean },
    home: { type: String },
  };
  declare shown: ShownError | null;
  declare canGoBack: boolean;
  /** The view that the way back leads to. */
  declare home: 'chat' | 'tasks';
  #stored: StoredModel[] = [];
  #usage = '';
  readonly #address = createRef<HTMLInputElement>();

  constructor() {
    super();
    this.shown = null;
    this.canGoBack = false;
    this.home = 'chat';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener('keydown', this.#onEscape);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener('keydown', this.#onEscape);
  }

  readonly #onEscape = (event: KeyboardEvent) => {
    const isOpen = document.querySelector('dialog[open], :popover-open') !== null;
    if (event.key !== 'Escape' || event.defaultPrevented || isOpen || !this.canGoBack) return;
    if (this.find('#picker').checkVisibility()) this.#back();
  };

  /** Reads the store again. Shows no models if it cannot be read. */
  async refresh(): Promise<void> {
    try {
      const [stored, { stored: bytes, quota }] = await Promise.all([models.list(), models.usage()]);
      this.#stored = stored.sort((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime());
      this.#usage =
        quota === null ? '' : `Models take ${formatBytes(bytes)} of the ${formatBytes(quota)} that this page may use.`;
    } catch {
      this.#stored = [];
    }
    this.requestUpdate();
    await this.updateComplete;
  }

  focusFirst(): void {
    // The page stays at its top, where it tells what this is.
    this.querySelector<HTMLElement>('#load-default')?.focus({ preventScroll: true });
  }

  focusAddress(): void {
    this.#address.value?.focus();
  }

  /** Opens the browser's dialog for files. */
  chooseFile(): void {
    this.find('#model-file').click();
  }

  protected override render(): TemplateResult {
    const defaultIsStored = this.#stored.some(({ source, complete }) => source === DEFAULT_MODEL && complete);
    return html`<section id="picker" aria-labelledby="picker-title">
      ${
        this.canGoBack
          ? html`<p class="back">
              <button type="button" id="back" @click=${this.#back}>← Back to the ${this.home}</button>
            </p>`
          : nothing
      }
      ${weave}
      <h1 id="picker-title">A language model, woven into this page.</h1>
      <p class="lead">weft runs open models inside your browser. What you type never leaves this device.</p>
      ${
        defaultIsStored
          ? nothing
          : html`<button
              type="button"
              class="primary"
              id="load-default"
              data-testid="load-default"
              @click=${() => this.#choose(DEFAULT_MODEL)}
            >
              <span>Load SmolLM2-135M</span> <span class="size">(98 MB)</span>
            </button>`
      }
      <div id="picker-error"><error-note .shown=${this.shown}></error-note></div>
      <section id="stored" aria-labelledby="stored-title" ?hidden=${this.#stored.length === 0}>
        <h2 id="stored-title">On this device</h2>
        <ul id="stored-list">
          ${this.#stored.map((model) => this.#storedModel(model))}
        </ul>
        <p class="hint" id="stored-usage">${this.#usage}</p>
      </section>
      <div class="other-models">
        <h2>Or bring your own GGUF model</h2>
        <form id="url-form" @submit=${this.#onAddress}>
          <label for="model-url">Address of the file</label>
          <div class="joined">
            <input
              ${ref(this.#address)}
              id="model-url"
              data-testid="model-url"
              type="url"
              inputmode="url"
              required
              autocomplete="url"
              spellcheck="false"
              placeholder="https://…/model.gguf"
              @input=${this.#checkAddress}
            />
            <button type="submit">Load</button>
          </div>
        </form>
        <p class="files">
          <label class="button" for="model-file">Choose a file…</label>
          <input
            id="model-file"
            data-testid="model-file"
            class="sr-only"
            type="file"
            accept=".gguf"
            multiple
            @change=${this.#onFiles}
          />
          <span class="hint"
            >or drop it anywhere on this page, or a folder of transformers. Several files are the parts of one
            model.</span
          >
        </p>
      </div>
    </section>`;
  }

  #storedModel({ source, size, storedBytes, complete }: StoredModel): TemplateResult {
    const name = fileName(source);
    const bytes = formatBytes(storedBytes);
    const isDefault = source === DEFAULT_MODEL && complete;
    const amount = complete ? bytes : `${size === null ? bytes : `${bytes} of ${formatBytes(size)}`}, not yet whole`;
    return html`<li>
      <p><bdi class="name" title=${source}>${name}</bdi> <span class="hint size">${amount}</span></p>
      <button
        type="button"
        class=${isDefault ? 'load primary' : 'load'}
        id=${isDefault ? 'load-default' : nothing}
        data-testid=${isDefault ? 'load-default' : nothing}
        aria-label="Load ${name}"
        ?hidden=${LATER_PART.test(source)}
        @click=${() => this.#choose(source)}
      >
        Load
      </button>
      <button
        type="button"
        class="delete"
        aria-label="Delete ${name}"
        @click=${(event: Event) => this.#delete(source, event.currentTarget as HTMLButtonElement)}
      >
        Delete
      </button>
    </li>`;
  }

  async #delete(source: string, button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    const deleted = await models.delete(source).catch(() => false);
    button.disabled = false;
    announce(deleted ? `${fileName(source)} is deleted.` : `${fileName(source)} could not be deleted.`);
    await this.refresh();
    // The focused button is gone.
    const next = this.querySelector<HTMLElement>('#stored-list .delete');
    if (next) next.focus();
    else this.focusFirst();
  }

  #choose(model: ModelSource): void {
    this.dispatchEvent(new CustomEvent('model', { detail: model }));
  }

  #onAddress(event: Event): void {
    event.preventDefault();
    this.#choose(this.#address.value!.value);
  }

  #checkAddress(event: Event): void {
    const input = event.target as HTMLInputElement;
    const known = /^(?:https?:|hf:|$)/i.test(input.value) || input.validity.typeMismatch;
    input.setCustomValidity(known ? '' : 'weft reads addresses that begin with https:// or hf:');
  }

  #onFiles(event: Event): void {
    const input = event.target as HTMLInputElement;
    const files = [...(input.files ?? [])];
    input.value = ''; // choosing the same file again also counts as a change
    if (files.length > 0) this.#choose(inOrder(files));
  }

  #back(): void {
    this.dispatchEvent(new Event('back'));
  }
}

const weave = html`<svg class="weave" aria-hidden="true" focusable="false">
  <defs>
    <pattern id="weave" width="28" height="28" patternUnits="userSpaceOnUse">
      <path class="warp" d="M7 0v28M21 0v28" />
      <path class="thread" d="M0 7h2M12 7h16M0 21h16M26 21h2" />
    </pattern>
  </defs>
  <rect width="100%" height="100%" fill="url(#weave)" />
</svg>`;

customElements.define('model-picker', ModelPicker);
