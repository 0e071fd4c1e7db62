/**
 * The model that gives vectors: the page's own if it can, else a second one, which is loaded here
 * and lives beside it.
 */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { load, models, WeftError, type Llm, type ModelSource } from 'weft-llm';
import { announce } from '../announcer.js';
import { amountOf, Component, formatBytes } from '../component.js';
import { inOrder } from '../drops.js';
import '../error-note.js';
import { isModel } from '../models/remembered.js';
import { fileName } from '../names.js';
import { loadSettings } from '../settings.js';
import { lacks } from './needs.js';
import { t } from '../text/text.js';

const MINI_LM = 'hf:sentence-transformers/all-MiniLM-L6-v2';
const OWN_FILE = 'file';
const ADDRESS = 'address';

/** The second model; it lasts until another one replaces it. */
let second: Llm | null = null;

export function embedderOf(model: Llm | null): Llm | null {
  return model?.info.tasks.includes('embed') ? model : second;
}

/** Sends `change` when a model has come or gone. */
export class EmbedderPicker extends Component {
  static override properties: PropertyDeclarations = { model: { attribute: false } };
  declare model: Llm | null;
  #loading: AbortController | null = null;
  #progress = '';
  #error: unknown = null;
  #choice = MINI_LM;
  #address = '';
  #stored: string[] = [];

  protected override render(): TemplateResult {
    const embedder = embedderOf(this.model);
    return html`<fieldset class="embedder" data-testid="embedder">
      <legend>${t('embedder')}</legend>
      ${
        embedder
          ? html`<p>${embedder === this.model ? t('embedder-own') : t('embedder-is', { name: embedder.info.name })}</p>`
          : this.#form()
      }
      ${
        embedder !== null && embedder === second
          ? html`<button type="button" @click=${this.#unload}>${t('embedder-other')}</button>`
          : nothing
      }
      <error-note
        .shown=${this.#error === null ? null : { error: this.#error }}
        @remedy=${this.#onRemedy}
        @dismiss=${this.#onDismiss}
      ></error-note>
    </fieldset>`;
  }

  #form(): TemplateResult {
    const missing = this.model ? lacks('embed', this.model.info) : t('embedder-none');
    return html`<p class="hint" data-testid="no-embedder">${missing} ${t('embedder-here')}</p>
      <label>
        ${t('model')}
        <select data-testid="embedder-source" ?disabled=${this.#loading !== null} @change=${this.#onChoice}>
          <option value=${MINI_LM} .selected=${this.#choice === MINI_LM}>
            ${t('embedder-minilm', { name: 'MiniLM', size: formatBytes(91e6) })}
          </option>
          ${this.#stored.map(
            (source) =>
              html`<option value=${source} .selected=${this.#choice === source}>
                ${t('embedder-stored', { name: fileName(source) })}
              </option>`,
          )}
          <option value=${ADDRESS} .selected=${this.#choice === ADDRESS}>${t('embedder-address')}</option>
          <option value=${OWN_FILE} .selected=${this.#choice === OWN_FILE}>${t('embedder-file')}</option>
        </select>
      </label>
      ${
        this.#choice === ADDRESS
          ? html`<label>
              ${t('embedder-address-label')}
              <input
                autocomplete="url"
                dir="ltr"
                spellcheck="false"
                placeholder="https://…/model.gguf"
                .value=${this.#address}
                @input=${(event: Event) => (this.#address = (event.target as HTMLInputElement).value)}
              />
            </label>`
          : nothing
      }
      ${
        this.#choice === OWN_FILE
          ? html`<label>
              ${t('embedder-file-label')}
              <input type="file" accept=".gguf" multiple data-testid="embedder-file" @change=${this.#onFiles} />
            </label>`
          : html`<button type="button" data-testid="load-embedder" @click=${this.#onLoad}>
              ${this.#loading ? t('stop') : t('load-it')}
            </button>`
      }
      <p class="hint" role="status">${this.#progress}</p>`;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void models.list().then(
      (stored) => {
        this.#stored = stored
          .filter(isModel)
          .filter(
            ({ source, complete }) => complete && /\.gguf|MiniLM|bge|e5|embed/i.test(source) && source !== MINI_LM,
          )
          .map(({ source }) => source);
        this.requestUpdate();
      },
      () => undefined, // without a store there is nothing to list
    );
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#loading?.abort();
  }

  #onChoice(event: Event): void {
    this.#choice = (event.target as HTMLSelectElement).value;
    this.requestUpdate();
  }

  #onLoad(): void {
    if (this.#loading) return this.#loading.abort();
    void this.#load(this.#choice === ADDRESS ? this.#address.trim() : this.#choice);
  }

  #onFiles(event: Event): void {
    const files = [...((event.target as HTMLInputElement).files ?? [])];
    if (files.length > 0) void this.#load(inOrder(files));
  }

  async #load(source: ModelSource): Promise<void> {
    const loading = new AbortController();
    this.#loading = loading;
    this.#error = null;
    this.requestUpdate();
    try {
      const onProgress = ({ loaded, total }: { loaded: number; total: number | null }) => {
        this.#progress = amountOf(loaded, total);
        this.requestUpdate();
      };
      const { device } = loadSettings();
      const loaded = await load({ model: source, ...(device ? { device } : {}), signal: loading.signal, onProgress });
      const missing = lacks('embed', loaded.info);
      if (missing !== null) {
        loaded.dispose();
        throw new WeftError('UNSUPPORTED_TASK', missing);
      }
      second?.dispose();
      second = loaded;
      announce(t('embedder-loaded'));
    } catch (error) {
      if (!loading.signal.aborted) this.#error = error;
    } finally {
      this.#loading = null;
      this.#progress = '';
      await this.#changed();
    }
  }

  async #unload(): Promise<void> {
    second?.dispose();
    second = null;
    await this.#changed();
  }

  /** The button that was pressed may be gone. */
  async #changed(): Promise<void> {
    const hadFocus = this.contains(document.activeElement);
    this.dispatchEvent(new Event('change'));
    this.requestUpdate();
    await this.updateComplete;
    if (hadFocus && !this.contains(document.activeElement)) this.querySelector<HTMLElement>('select, button')?.focus();
  }

  /** Remedies of the page are for its own model. */
  #onRemedy(event: CustomEvent<string>): void {
    this.#error = null;
    this.requestUpdate();
    if (event.detail !== 'retry' && event.detail !== 'choose-model') return;
    event.stopPropagation();
    this.querySelector<HTMLElement>('select')?.focus();
  }

  #onDismiss(event: Event): void {
    event.stopPropagation();
    this.#error = null;
    this.requestUpdate();
    this.querySelector<HTMLElement>('select')?.focus();
  }
}

customElements.define('embedder-picker', EmbedderPicker);
