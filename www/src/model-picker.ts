/** The ways to choose a model: the default one, a stored one, an address, files of the user. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { createRef, ref } from 'lit/directives/ref.js';
import { models, type ModelSource, type StoredModel, type StoreUsage } from 'weft-llm';
import { Component, formatBytes } from './component.js';
import { inOrder } from './drops.js';
import type { ShownError } from './error-note.js';
import type { CatalogModel } from './models/catalog.js';
import type { Device } from './models/device.js';
import './models/model-shelf.js';
import { isChat, isModel } from './models/remembered.js';
import type { ModelShelf } from './models/model-shelf.js';
import { DEFAULT_MODEL, served, type ServedModel } from './models/served.js';
import './models/stored-models.js';
import type { StoredModels } from './models/stored-models.js';
import type { Home } from './views.js';
import { t } from './text/text.js';

export { DEFAULT_MODEL };

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
  declare home: Home;
  #stored: StoredModel[] = [];
  #chats: StoredModel[] = [];
  #usage: StoreUsage | null = null;
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
      const [stored, usage] = await Promise.all([models.list(), models.usage()]);
      this.#stored = stored.filter(isModel).sort((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime());
      this.#chats = stored.filter(isChat);
      this.#usage = usage;
    } catch {
      this.#stored = this.#chats = [];
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

  get #device(): Device {
    // Of Chromium, in GiB.
    const { deviceMemory } = navigator as { deviceMemory?: number };
    const { quota = null, used = null } = this.#usage ?? {};
    return {
      memory: deviceMemory === undefined ? null : deviceMemory * 2 ** 30,
      room: quota === null || used === null ? null : quota - used,
    };
  }

  protected override render(): TemplateResult {
    const device = this.#device;
    const defaultIsStored = this.#stored.some(({ source, complete }) => source === DEFAULT_MODEL && complete);
    return html`<section id="picker" aria-labelledby="picker-title">
      ${
        this.canGoBack
          ? html`<p class="back">
              <button type="button" id="back" @click=${this.#back}>${t(`back-${this.home}`)}</button>
            </p>`
          : nothing
      }
      ${weave}
      <h1 id="picker-title">${t('picker-title')}</h1>
      <p class="lead">${t('picker-lead')}</p>
      ${defaultIsStored ? nothing : html`<p class="here">${served.map((model) => this.#served(model))}</p>`}
      <div id="picker-error"><error-note .shown=${this.shown}></error-note></div>
      <stored-models
        .stored=${this.#stored}
        .chats=${this.#chats}
        .usage=${this.#usage}
        .device=${device}
        @changed=${this.#onStoreChanged}
        @show=${this.#onShow}
      ></stored-models>
      <div class="other-models">
        <h2>${t('picker-own')}</h2>
        <form id="url-form" @submit=${this.#onAddress}>
          <label for="model-url">${t('picker-address')}</label>
          <div class="joined">
            <input
              ${ref(this.#address)}
              id="model-url"
              data-testid="model-url"
              type="url"
              dir="ltr"
              inputmode="url"
              required
              autocomplete="url"
              spellcheck="false"
              placeholder="https://…/model.gguf"
              @input=${this.#checkAddress}
            />
            <button type="submit">${t('load')}</button>
          </div>
        </form>
        <p class="files">
          <label class="button" for="model-file">${t('picker-file')}</label>
          <input
            id="model-file"
            data-testid="model-file"
            class="sr-only"
            type="file"
            accept=".gguf"
            multiple
            @change=${this.#onFiles}
          />
          <span class="hint">${t('picker-file-hint')}</span>
        </p>
        <p class="files">
          <label class="button" for="import-file">${t('picker-import')}</label>
          <input
            id="import-file"
            data-testid="import-file"
            class="sr-only"
            type="file"
            accept=".gguf"
            multiple
            @change=${this.#onImport}
          />
          <span class="hint">${t('picker-import-hint')}</span>
        </p>
      </div>
      <model-shelf .stored=${this.#stored} .device=${device}></model-shelf>
    </section>`;
  }

  /** A model that the server of the page has. */
  #served({ name, source, bytes }: ServedModel): TemplateResult {
    const isDefault = source === DEFAULT_MODEL;
    return html`<button
      type="button"
      class=${isDefault ? 'primary' : nothing}
      id=${isDefault ? 'load-default' : nothing}
      data-testid=${isDefault ? 'load-default' : nothing}
      @click=${() => this.#choose(source)}
    >
      <span>${t('load-model', { name })}</span> <span class="size">(${formatBytes(bytes)})</span>
    </button>`;
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
    input.setCustomValidity(known ? '' : t('picker-address-wrong'));
  }

  #onFiles(event: Event): void {
    const input = event.target as HTMLInputElement;
    const files = [...(input.files ?? [])];
    input.value = ''; // choosing the same file again also counts as a change
    if (files.length > 0) this.#choose(inOrder(files));
  }

  #onImport(event: Event): void {
    const input = event.target as HTMLInputElement;
    const files = [...(input.files ?? [])];
    input.value = '';
    if (files.length > 0) void this.find<StoredModels>('stored-models').import(files);
  }

  async #onStoreChanged({ detail }: CustomEvent): Promise<void> {
    await this.refresh();
    if (detail !== 'deleted') return;
    // The focused button is gone.
    await this.find<StoredModels>('stored-models').updateComplete;
    const next = this.querySelector<HTMLElement>('#stored-list .delete');
    if (next) next.focus();
    else this.focusFirst();
  }

  #onShow({ detail }: CustomEvent<CatalogModel>): void {
    void this.find<ModelShelf>('model-shelf').show(detail);
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
