/** What a model needs and can do here. Its header is read when the facts are first shown. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { estimate, type Estimate } from 'weft-llm';
import { Component, formatBytes } from '../component.js';
import { details } from '../errors.js';
import { loadSettings } from '../settings.js';
import { catalog, type CatalogModel } from './catalog.js';
import { whatWould, type Device } from './device.js';
import { expectedSpeed } from './speed.js';

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
      <dt>Memory</dt>
      <dd aria-live="polite">${this.#memory()}</dd>
      ${
        perToken === null || searches
          ? nothing
          : html`<dt>Speed</dt>
              <dd>${expectedSpeed(perToken)}</dd>`
      }
      ${
        this.#needs
          ? html`<dt>Kind</dt>
              <dd>
                ${this.#needs.architecture}, ${this.#needs.quantization}, ${millions(this.#needs.parameters)} weights,
                trained for ${this.#needs.trainedContextLength} tokens
              </dd>`
          : nothing
      }
      ${
        entry
          ? html`<dt>Licence</dt>
              <dd>${entry.license}</dd>`
          : nothing
      }
      <dt>Address</dt>
      <dd><bdi class="address">${this.source}</bdi></dd>
    </dl>`;
  }

  #memory(): TemplateResult | string {
    if (this.#failure !== undefined) {
      const least = this.bytes === null ? '' : `At least the ${formatBytes(this.bytes)} of its file. `;
      return html`${least}The header of the file could not be read:
        <span class="message">${details(this.#failure)}</span>`;
    }
    if (!this.#needs) return 'Reading the header of its file…';
    const { loadedBytes, kvCacheBytes, contextLength, cpu, gpu } = this.#needs;
    const chat =
      kvCacheBytes > 0 ? `, and ${formatBytes(kvCacheBytes)} more for a chat of ${contextLength} tokens` : '';
    const fit = gpu ?? cpu;
    return html`<p>${formatBytes(loadedBytes)} when it is loaded${chat}.</p>
      ${
        fit.fits
          ? html`<p>
              ${gpu ? 'This device’s GPU takes it' : 'The CPU engine takes it; this browser offers no GPU'}, if so much
              memory is free: browsers do not tell.
            </p>`
          : html`<p><strong>It will not fit on this device.</strong> ${this.#whatWould()}</p>
              <p class="hint">${fit.reason}</p>`
      }`;
  }

  #whatWould(): TemplateResult | string {
    const { bytes } = this;
    const wanted = this.entry ?? { bytes: bytes ?? Infinity, family: '', uses: ['chat'] as const };
    const other = whatWould(wanted, catalog, this.device);
    if (!other) return '';
    const show = () => this.dispatchEvent(new CustomEvent('show', { detail: other, bubbles: true }));
    return html`What would:
      <button type="button" class="link" @click=${show}>${other.name}, ${formatBytes(other.bytes)}</button>`;
  }
}

const millions = (count: number) =>
  count < 1e9 ? `${(count / 1e6).toFixed(0)} million` : `${(count / 1e9).toFixed(1)} billion`;

customElements.define('model-facts', ModelFacts);
