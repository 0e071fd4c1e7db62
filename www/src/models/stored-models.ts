/** The models in the browser's storage: load, go on with a download, export, import, delete. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { models, type StoredModel, type StoreUsage } from 'weft-llm';
import { announce } from '../announcer.js';
import { amountOf, Component, formatBytes } from '../component.js';
import { details } from '../errors.js';
import { fileName } from '../names.js';
import { catalog, entryOf } from './catalog.js';
import type { Device } from './device.js';
import './model-facts.js';
import { forget, modelOf, stopRemembering } from './remembered.js';
import { save } from './save-file.js';
import { DEFAULT_MODEL } from './served.js';
import { number, t, type Said } from '../text/text.js';

/** Matches all parts of a split model but the first; they cannot be loaded by themselves. */
const LATER_PART = /-(?!00001)\d{5}-of-\d{5}\.gguf$/;

/** Sends `model` with the address of a model, and `changed` when the store has changed. */
export class StoredModels extends Component {
  static override properties: PropertyDeclarations = {
    stored: { attribute: false },
    chats: { attribute: false },
    usage: { attribute: false },
    device: { attribute: false },
  };
  declare stored: readonly StoredModel[];
  /** What is stored of chats, of any model. */
  declare chats: readonly StoredModel[];
  declare usage: StoreUsage | null;
  declare device: Device;
  #open = new Set<string>();
  /** How an export or an import goes. */
  #work: Said | null = null;
  /** The part of an import that is stored, from 0 to 1; null while there is none. */
  #imported: number | null = null;

  constructor() {
    super();
    this.stored = this.chats = [];
    this.usage = null;
    this.device = { memory: null, room: null };
  }

  protected override render(): TemplateResult {
    const isEmpty = this.stored.length + this.chats.length === 0;
    const others = new Set(this.chats.map(modelOf));
    for (const { source } of this.stored) others.delete(source);
    return html`<section id="stored" aria-labelledby="stored-title" ?hidden=${isEmpty}>
        <h2 id="stored-title">${t('stored-title')}</h2>
        <ul class="models" id="stored-list">
          ${this.stored.map((model) => this.#row(model))} ${[...others].map((source) => this.#fileRow(source))}
        </ul>
        ${this.#storage()}
      </section>
      <p class="hint" role="status" id="store-work" ?hidden=${this.#work === null}>${this.#work?.()}</p>
      ${this.#imported === null ? nothing : this.#importing(this.#imported)}`;
  }

  #importing(share: number): TemplateResult {
    return html`<div class="import">
      <progress max="1" value=${share} aria-label=${t('stored-import-part')}></progress>
      <span class="hint">${number(Math.floor(100 * share) / 100, { style: 'percent' })}</span>
    </div>`;
  }

  #row(model: StoredModel): TemplateResult {
    const { source, size, storedBytes, complete } = model;
    const name = fileName(source);
    const bytes = formatBytes(storedBytes);
    const isDefault = source === DEFAULT_MODEL && complete;
    const amount = complete ? bytes : t('stored-part', { amount: amountOf(storedBytes, size) });
    const chats = this.#chatsOf(source);
    const entry = entryOf(source);
    const go = complete ? t('load') : t('resume');
    const goLabel = complete ? t('load-model', { name }) : t('resume-model', { name });
    return html`<li>
      <details ?open=${this.#open.has(source)} @toggle=${(event: Event) => this.#onToggle(event, source)}>
        <summary>
          <bdi class="name" title=${source}>${name}</bdi>
          <span class="hint size"
            >${chats.length === 0 ? amount : t('stored-and-chats', { amount, chats: sizeOf(chats) })}</span
          >
          ${
            complete || size === null
              ? nothing
              : html`<meter
                  min="0"
                  max=${size}
                  value=${storedBytes}
                  aria-label=${t('stored-part-label', { name })}
                ></meter>`
          }
        </summary>
        <model-facts
          .source=${source}
          .bytes=${size}
          .entry=${entry}
          .device=${this.device}
          ?shown=${this.#open.has(source)}
        ></model-facts>
        <p class="actions">
          <span class="hint">${t('stored-last-used', { date: model.lastUsed })}</span>
          ${
            complete
              ? html`<button
                  type="button"
                  aria-label=${t('export-model', { name })}
                  @click=${() => this.#export(model)}
                >
                  ${t('stored-export')}
                </button>`
              : nothing
          }
        </p>
        ${
          chats.length === 0
            ? nothing
            : html`<p class="actions">
                <span class="hint">${t('stored-chats', { amount: sizeOf(chats) })}</span>
                ${this.#forgetButton(source)}
              </p>`
        }
      </details>
      <button
        type="button"
        class=${isDefault ? 'load primary' : 'load'}
        id=${isDefault ? 'load-default' : nothing}
        data-testid=${isDefault ? 'load-default' : nothing}
        aria-label=${goLabel}
        ?hidden=${LATER_PART.test(source)}
        @click=${() => this.#choose(source)}
      >
        ${go}
      </button>
      <button
        type="button"
        class="delete"
        aria-label=${t('delete-one', { name })}
        @click=${(event: Event) => this.#delete(source, event.currentTarget as HTMLButtonElement)}
      >
        ${t('delete')}
      </button>
    </li>`;
  }

  /** Chats of a file of the user, which is not stored itself. */
  #fileRow(source: string): TemplateResult {
    return html`<li>
      <p class="file">
        <bdi class="name">${nameOf(source)}</bdi>
        <span class="hint">${t('stored-chats', { amount: sizeOf(this.#chatsOf(source)) })}</span>
      </p>
      ${this.#forgetButton(source)}
    </li>`;
  }

  #forgetButton(source: string): TemplateResult {
    return html`<button
      type="button"
      class="forget"
      aria-label=${t('stored-forget.label', { name: nameOf(source) })}
      @click=${(event: Event) => this.#forget(source, event.currentTarget as HTMLButtonElement)}
    >
      ${t('stored-forget')}
    </button>`;
  }

  #chatsOf(model: string): StoredModel[] {
    return this.chats.filter((chat) => modelOf(chat) === model);
  }

  #storage(): TemplateResult | typeof nothing {
    if (!this.usage || this.usage.quota === null) return nothing;
    const { stored, used, quota, persisted } = this.usage;
    const others = used === null ? 0 : Math.max(0, used - stored);
    const says = [
      t(this.chats.length > 0 ? 'stored-usage-chats' : 'stored-usage', {
        stored: formatBytes(stored),
        quota: formatBytes(quota),
      }),
      ...(others > 1e6 ? [t('stored-others', { amount: formatBytes(others) })] : []),
      persisted ? t('stored-persisted') : t('stored-not-persisted'),
    ];
    return html`<div class="storage">
      <p class="hint" id="stored-usage">${says.join(' ')}</p>
      <meter min="0" max=${quota} value=${used ?? stored} aria-label=${t('stored-meter')}></meter>
      ${
        persisted
          ? nothing
          : html`<button type="button" id="persist" @click=${this.#persist}>${t('stored-persist')}</button>`
      }
    </div>`;
  }

  #onToggle(event: Event, source: string): void {
    if ((event.target as HTMLDetailsElement).open) this.#open.add(source);
    else this.#open.delete(source);
    this.requestUpdate();
  }

  #choose(source: string): void {
    this.dispatchEvent(new CustomEvent('model', { detail: source, bubbles: true }));
  }

  async #persist(): Promise<void> {
    const kept = await models.persist().catch(() => false);
    announce(kept ? t('stored-will-persist') : t('stored-refused-short'));
    this.#tell(kept ? null : () => t('stored-refused'));
    this.#changed();
  }

  async #delete(source: string, button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    const deleted = await models.delete(source).catch(() => false);
    button.disabled = false;
    const name = fileName(source);
    announce(deleted ? t('stored-deleted', { name }) : t('stored-not-deleted', { name }));
    this.dispatchEvent(new CustomEvent('changed', { detail: 'deleted' }));
  }

  async #forget(source: string, button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    await stopRemembering();
    const forgotten = await forget(this.#chatsOf(source));
    button.disabled = false;
    const name = nameOf(source);
    announce(forgotten ? t('stored-forgotten', { name }) : t('stored-not-deleted', { name }));
    // The focused button goes.
    const summary = button.closest('details')?.querySelector('summary');
    summary?.focus();
    this.dispatchEvent(new CustomEvent('changed', { detail: summary ? 'forgotten' : 'deleted' }));
  }

  async #export({ source, size }: StoredModel): Promise<void> {
    const name = fileName(source).replace(/@[^@/]*$/, '');
    try {
      const written = await save(
        name,
        () => models.export(source),
        (bytes) => this.#tell(() => t('stored-exporting', { name, amount: amountOf(bytes, size ?? bytes) })),
      );
      this.#tell(written ? () => t('stored-exported', { name }) : null);
    } catch (error) {
      this.#tell(() => t('stored-not-exported', { name, error: details(error) }));
    }
  }

  /**
   * Stores files of the user. A file that has the name of a model of the shelf becomes that model;
   * others get an address of this page, where no file is: it is never asked for.
   */
  async import(files: readonly File[]): Promise<void> {
    for (const file of files) {
      const known = catalog.find(({ source }) => source.endsWith(`/${file.name}`));
      const as = known?.source ?? new URL(`imported/${encodeURIComponent(file.name)}`, document.baseURI).href;
      const { name } = file;
      this.#imported = 0;
      this.#tell(() => t('stored-importing', { name, amount: formatBytes(file.size) }));
      try {
        await models.import(file, { as, onProgress: (bytes) => this.#onImported(bytes / file.size) });
        this.#tell(() => t('stored-imported', { name }));
      } catch (error) {
        this.#tell(() => t('stored-not-imported', { name, error: details(error) }));
        break;
      } finally {
        this.#imported = null;
      }
    }
    this.#changed();
  }

  #onImported(share: number): void {
    this.#imported = share;
    this.requestUpdate();
  }

  #changed(): void {
    this.dispatchEvent(new CustomEvent('changed'));
  }

  #tell(what: Said | null): void {
    this.#work = what;
    this.requestUpdate();
  }
}

const sizeOf = (files: readonly StoredModel[]) =>
  formatBytes(files.reduce((sum, { storedBytes }) => sum + storedBytes, 0));

/** The store names a file of the user `file:` and its name. */
const nameOf = (source: string) => fileName(source).replace(/^file:/, '');

customElements.define('stored-models', StoredModels);
