/** What a model needs and can do here. Its header is read when the facts are first shown. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { estimate, type Estimate } from 'weft-llm';
import { Component, formatBytes, weightsOf } from '../component.js';
import { details } from '../errors.js';
import { loadSettings } from '../settings.js';
import { catalog, type CatalogModel } from './catalog.js';
import { whatWould, type Device } from './device.js';
import { expectedSpeed } from './speed.js';
import { t } from '../text/text.js';

/** Sends `show` with the model that would fit, if this one does not. */
export class ModelFacts extends Component {
  static override properties: PropertyDeclarations = {
    source: { attribute: false },
    bytes: { attribute: false },
    entry: { attribute: false },
    device: { attribute: false },
    shown: { type: Boolean },
  };
  declare source: string;
  /** Of the file; null while unknown. */
  declare bytes: number | null;
  declare entry: CatalogModel | undefined;
  declare device: Device;
  declare shown: boolean;
  #needs: Estimate | undefined;
  #failure: unknown;
  #asked = '';

  constructor() {
    super();
    this.bytes = null;
    this.shown = false;
  }

  protected override willUpdate(): void {
    if (this.shown && this.#asked !== this.source) void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#asked = this.source;
    this.#needs = this.#failure = undefined;
    const { contextLength } = loadSettings();
    try {
      this.#needs = await estimate(this.source, contextLength === undefined ? {} : { contextLength });
    } catch (error) {
      this.#failure = error;
    }
    this.requestUpdate();
  }

  protected override render(): TemplateResult | typeof nothing {
    if (!this.shown) return nothing;
    const { entry, bytes } = this;
    const perToken = bytes === null ? null : bytes * (entry?.active ?? 1);
    const searches = entry?.uses.includes('search') ?? false;
    return html`<dl>
      <dt>${t('facts-memory')}</dt>
      <dd aria-live="polite">${this.#memory()}</dd>
      ${
        perToken === null || searches
          ? nothing
          : html`<dt>${t('facts-speed')}</dt>
              <dd>${expectedSpeed(perToken, this.#needs?.gpuTime)}</dd>`
      }
      ${
        this.#needs
          ? html`<dt>${t('facts-kind')}</dt>
              <dd>
                ${t('facts-kind-is', {
                  architecture: this.#needs.architecture,
                  quantization: this.#needs.quantization,
                  weights: weightsOf(this.#needs.parameters),
                  tokens: this.#needs.trainedContextLength,
                })}
              </dd>`
          : nothing
      }
      ${
        entry
          ? html`<dt>${t('facts-licence')}</dt>
              <dd>${entry.license}</dd>`
          : nothing
      }
      <dt>${t('facts-address')}</dt>
      <dd><bdi class="address">${this.source}</bdi></dd>
    </dl>`;
  }

  #memory(): TemplateResult | string {
    if (this.#failure !== undefined) {
      const least = this.bytes === null ? '' : t('facts-at-least', { amount: formatBytes(this.bytes) });
      return html`${least} ${t('facts-unread')} <span class="message" dir="auto">${details(this.#failure)}</span>`;
    }
    if (!this.#needs) return t('facts-reading');
    const { loadedBytes, kvCacheBytes, contextLength, cpu, gpu } = this.#needs;
    const loaded = formatBytes(loadedBytes);
    const needs =
      kvCacheBytes > 0
        ? t('facts-loaded-and-chat', { loaded, chat: formatBytes(kvCacheBytes), tokens: contextLength })
        : t('facts-loaded', { loaded });
    const fit = gpu ?? cpu;
    return html`<p>${needs}</p>
      ${
        fit.fits
          ? html`<p>${gpu ? t('facts-fits-gpu') : t('facts-fits-cpu')}</p>`
          : html`<p><strong>${t('facts-will-not-fit')}</strong> ${this.#whatWould()}</p>
              <p class="hint" dir="auto">${fit.reason}</p>`
      }`;
  }

  #whatWould(): TemplateResult | string {
    const { bytes } = this;
    const wanted = this.entry ?? { bytes: bytes ?? Infinity, family: '', uses: ['chat'] as const };
    const other = whatWould(wanted, catalog, this.device);
    if (!other) return '';
    const show = () => this.dispatchEvent(new CustomEvent('show', { detail: other, bubbles: true }));
    return html`${t('facts-what-would')}
      <button type="button" class="link" dir="auto" @click=${show}>${other.name}, ${formatBytes(other.bytes)}</button>`;
  }
}

customElements.define('model-facts', ModelFacts);
