/** Open models to choose from: search, filters, and what each needs. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { StoredModel } from 'weft-llm';
import { Component, formatBytes } from '../component.js';
import { catalog, entryOf, matches, type CatalogModel, type Use } from './catalog.js';
import { obstacle, type Device } from './device.js';
import './model-facts.js';
import { list, t } from '../text/text.js';

const USES: readonly Use[] = ['chat', 'tools', 'code', 'reasoning', 'search'];

const SIZES = [5e8, 1e9, 2e9];

/** Of the files of a folder, those that take the time to fetch. */
const WEIGHTS = /\.(?:gguf|safetensors)(?:@|$)/;

/** Sends `model` with the address of a model. */
export class ModelShelf extends Component {
  static override properties: PropertyDeclarations = {
    stored: { attribute: false },
    device: { attribute: false },
  };
  declare stored: readonly StoredModel[];
  declare device: Device;
  #words = '';
  #use: Use | '' = '';
  #most = Infinity;
  #open = new Set<string>();

  constructor() {
    super();
    this.stored = [];
    this.device = { memory: null, room: null };
  }

  /** Shows an entry, whatever was searched for, and moves the focus there. */
  async show({ source }: CatalogModel): Promise<void> {
    this.#words = this.#use = '';
    this.#most = Infinity;
    this.#open.add(source);
    this.requestUpdate();
    await this.updateComplete;
    this.querySelector<HTMLElement>(`[data-source="${CSS.escape(source)}"] summary`)?.focus();
  }

  protected override render(): TemplateResult {
    const found = catalog.filter((model) => matches(model, this.#words, this.#use, this.#most));
    const weights = this.stored.filter(({ source, complete }) => complete && WEIGHTS.test(source));
    const kept = new Set(weights.map(({ source }) => entryOf(source)));
    return html`<section id="shelf" aria-labelledby="shelf-title" @show=${this.#onShow}>
      <h2 id="shelf-title">${t('shelf-title')}</h2>
      <p class="hint">${t('shelf-hint')}</p>
      <div class="filters">
        <label
          >${t('search')}
          <input
            id="shelf-search"
            type="search"
            autocomplete="off"
            spellcheck="false"
            .value=${this.#words}
            @input=${(event: Event) => this.#filter(() => (this.#words = valueOf(event).trim()))}
          />
        </label>
        <label
          >${t('shelf-use')}
          <select
            id="shelf-use"
            .value=${this.#use}
            @change=${(event: Event) => this.#filter(() => (this.#use = valueOf(event) as Use | ''))}
          >
            <option value="">${t('shelf-any-use')}</option>
            ${USES.map((use) => html`<option value=${use}>${t(`use-${use}`)}</option>`)}
          </select>
        </label>
        <label
          >${t('shelf-size')}
          <select
            id="shelf-size"
            .value=${String(this.#most)}
            @change=${(event: Event) => this.#filter(() => (this.#most = Number(valueOf(event))))}
          >
            <option value="Infinity">${t('shelf-any-size')}</option>
            ${SIZES.map(
              (most) =>
                html`<option value=${String(most)}>${t('shelf-up-to', { amount: formatBytes(most, 0) })}</option>`,
            )}
          </select>
        </label>
      </div>
      <p class="hint" role="status" id="shelf-count">
        ${found.length === 0 ? t('shelf-none') : t('shelf-count', { found: found.length, all: catalog.length })}
      </p>
      <ul class="models" id="shelf-list">
        ${repeat(
          found,
          ({ source }) => source,
          (model) => this.#row(model, kept.has(model)),
        )}
      </ul>
    </section>`;
  }

  #row(model: CatalogModel, isKept: boolean): TemplateResult {
    const { name, source, bytes, parameters, used, license, uses } = model;
    const weights = used === undefined ? parameters : t('shelf-mixture', { all: parameters, used });
    const amount = formatBytes(bytes);
    const inTheWay = isKept ? null : obstacle(bytes, this.device, formatBytes);
    return html`<li data-source=${source}>
      <details ?open=${this.#open.has(source)} @toggle=${(event: Event) => this.#onToggle(event, source)}>
        <summary>
          <bdi class="name">${name}</bdi>
          <span class="hint"
            >${isKept ? t('shelf-kept', { amount }) : amount} · ${t('shelf-weights', { weights })} ·
            ${list(uses.map((use) => t(`use-${use}`)))} · <bdi>${license}</bdi></span
          >
          ${inTheWay ? html`<span class="hint obstacle">${inTheWay.why}</span>` : nothing}
        </summary>
        <model-facts
          .source=${source}
          .bytes=${bytes}
          .entry=${model}
          .device=${this.device}
          ?shown=${this.#open.has(source)}
        ></model-facts>
      </details>
      <button type="button" class="load" aria-label=${t('load-model', { name })} @click=${() => this.#choose(source)}>
        ${t('load')}
      </button>
    </li>`;
  }

  #filter(change: () => void): void {
    change();
    this.requestUpdate();
  }

  #onToggle(event: Event, source: string): void {
    if ((event.target as HTMLDetailsElement).open) this.#open.add(source);
    else this.#open.delete(source);
    this.requestUpdate();
  }

  #onShow(event: Event): void {
    event.stopPropagation();
    void this.show((event as CustomEvent<CatalogModel>).detail);
  }

  #choose(source: string): void {
    this.dispatchEvent(new CustomEvent('model', { detail: source, bubbles: true }));
  }
}

const valueOf = (event: Event) => (event.target as HTMLInputElement | HTMLSelectElement).value;

customElements.define('model-shelf', ModelShelf);
