/** Two answers to one question, side by side: by two models, or with two settings of one. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import type { Message, ModelSource } from 'weft-llm';
import { announce } from '../announcer.js';
import { Component, formatBytes, hasTouchKeyboard } from '../component.js';
import type { Conversation } from '../conversation.js';
import { inOrder } from '../drops.js';
import type { ModelLoader } from '../loader.js';
import { addressOf } from '../models/address.js';
import { catalog } from '../models/catalog.js';
import { fileName, modelName, sourceName } from '../names.js';
import { chatDefaults } from '../settings.js';
import type { Turn } from '../turn.js';
import './compare-side.js';
import './compare.css';
import english from '../text/en/compare.ftl?raw';
import { SecondModel } from './second-model.js';
import { Side } from './side.js';
import { differences } from './words.js';
import { addEnglish, t } from '../text/text.js';

addEnglish(english);

const FILE = 'a file';
const ADDRESS = 'an address';

const KNOWN = catalog.filter(({ uses }) => uses.some((use) => use !== 'search'));

/** Sends `back`. */
export class CompareView extends Component {
  static override properties: PropertyDeclarations = {
    loader: { attribute: false },
    conversation: { attribute: false },
    turn: { attribute: false },
  };
  declare loader: ModelLoader;
  declare conversation: Conversation;
  /** Its question is answered, after the turns before it; null: a question that is to come. */
  declare turn: Turn | null;
  #sides: readonly [Side, Side] | null = null;
  #second = new SecondModel(() => this.requestUpdate());
  #running: AbortController | null = null;
  #messages: readonly Message[] = [];
  #marks = false;
  #inTurn = false;
  /** Whether an address is asked for. */
  #isTyping = false;
  readonly #onSide = () => this.requestUpdate();

  override connectedCallback(): void {
    super.connectedCallback();
    const values = { ...chatDefaults(), ...this.conversation.settings };
    const warmer = values['temperature'] === '0' ? '0.8' : '0';
    this.#sides = [new Side('left', values), new Side('right', { ...values, temperature: warmer })];
    for (const side of this.#sides) side.addEventListener('change', this.#onSide);
    const before = this.turn ? this.conversation.messagesBefore(this.turn) : [];
    this.#messages = before.filter(({ role }) => role !== 'system');
    void this.#second.list();
  }

  /** Nothing goes on behind the page, and the memory of the second model is free again. */
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#running?.abort();
    this.#second.dispose();
  }

  protected override render(): TemplateResult {
    const [left, right] = this.#sides!;
    const busy = this.#running !== null;
    const bothDone = !busy && left.answer !== '' && right.answer !== '';
    const runs = this.#marks && bothDone ? differences(left.answer, right.answer) : null;
    const name = this.loader.model ? modelName(this.loader.source, this.loader.model.info) : t('compare-no-model');
    const { source, model, readyMs } = this.#second;
    const secondName = source === null ? name : model ? modelName(source, model.info) : sourceName(source);
    return html`<section id="compare" aria-labelledby="compare-title">
      <div class="compare-head">
        <p class="back"><button type="button" @click=${this.#back}>${t('back-chat')}</button></p>
        <h1 id="compare-title">${t('nav-compare')}</h1>
      </div>
      ${this.#choice(name, busy)}
      <div class="sides">
        <compare-side
          .side=${left}
          .other=${right}
          .name=${name}
          .readyMs=${this.loader.readyMs}
          .runs=${runs?.[0] ?? null}
        ></compare-side>
        <compare-side
          .side=${right}
          .other=${left}
          .name=${secondName}
          .readyMs=${source === null ? this.loader.readyMs : readyMs}
          .runs=${runs?.[1] ?? null}
        ></compare-side>
      </div>
      <form id="compare-form" @submit=${this.#onSubmit} @keydown=${this.#onKey}>
        ${this.#messages.length > 0 ? html`<p class="hint">${t('compare-after', { count: this.#messages.length / 2 })}</p>` : nothing}
        <label class="sr-only" for="compare-prompt">${t('compare-question')}</label>
        <textarea
          id="compare-prompt"
          dir="auto"
          rows="2"
          placeholder=${t('compare-ask')}
          .value=${this.turn?.question ?? ''}
        ></textarea>
        <div class="compare-actions">
          <label class="check">
            <input type="checkbox" .checked=${this.#inTurn} ?disabled=${busy} @change=${this.#onInTurn} />
            ${t('compare-in-turn')}
          </label>
          ${
            bothDone
              ? html`<button type="button" id="marks" aria-pressed=${this.#marks} @click=${this.#onMarks}>
                  ${t('compare-mark')}
                </button>`
              : nothing
          }
          <button type=${busy ? 'button' : 'submit'} class="primary" id="compare-go" @click=${this.#onGo}>
            ${busy ? t('stop') : t('compare-ask')}
          </button>
        </div>
      </form>
    </section>`;
  }

  /** Which model answers on the right. */
  #choice(name: string, busy: boolean): TemplateResult {
    const { stored, source, says, fits, model, progress } = this.#second;
    const isNew = typeof source === 'string' && !stored.includes(source);
    const others = [...stored.filter((one) => one !== this.loader.source), ...(isNew ? [source] : [])];
    const canLoad = source !== null && fits && !model && progress === null;
    return html`<div class="second">
      <div class="field">
        <label for="compare-model">${t('compare-model')}</label>
        <select id="compare-model" ?disabled=${busy} @change=${this.#onChoice}>
          <option value="" ?selected=${source === null && !this.#isTyping}>${t('compare-same', { name })}</option>
          ${others.map((one) => html`<option value=${one} ?selected=${source === one}>${fileName(one)}</option>`)}
          <option value=${ADDRESS} ?selected=${this.#isTyping}>${t('compare-address')}</option>
          <option value=${FILE} ?selected=${source !== null && typeof source !== 'string'}>
            ${source !== null && typeof source !== 'string' ? sourceName(source) : t('compare-file')}
          </option>
        </select>
        <input id="compare-file" type="file" accept=".gguf" multiple hidden @change=${this.#onFile} />
      </div>
      ${this.#isTyping ? this.#address() : nothing}
      <p class="hint" role="status">${says()}</p>
      ${
        progress === null
          ? nothing
          : html`<progress max="1" value=${progress} aria-label=${t('compare-loading')}></progress>`
      }
      ${
        canLoad
          ? html`<button type="button" class="primary" id="compare-load" @click=${this.#onLoad}>
              ${t('compare-load')}
            </button>`
          : nothing
      }
    </div>`;
  }

  #address(): TemplateResult {
    return html`<form class="field address" @submit=${this.#onAddress}>
      <label for="compare-address">${t('compare-address-label')}</label>
      <div class="joined">
        <input
          id="compare-address"
          list="compare-known"
          dir="ltr"
          required
          autocomplete="off"
          autocapitalize="off"
          spellcheck="false"
          placeholder="hf:owner/repository/model.gguf"
          @input=${checkAddress}
        />
        <button type="submit">${t('compare-address-choose')}</button>
      </div>
      <datalist id="compare-known">
        ${KNOWN.map(({ name, bytes }) => html`<option value=${name}>${formatBytes(bytes)}</option>`)}
      </datalist>
    </form>`;
  }

  #onAddress(event: Event): void {
    event.preventDefault();
    const source = addressOf(this.find<HTMLInputElement>('#compare-address').value);
    if (source === null) return;
    this.find('#compare-model').focus();
    void this.#choose(source);
  }

  #back(): void {
    this.dispatchEvent(new Event('back'));
  }

  #onChoice(event: Event): void {
    const { value } = event.target as HTMLSelectElement;
    if (value === FILE) this.find('#compare-file').click();
    else if (value === ADDRESS) this.#type();
    else void this.#choose(value === '' ? null : value);
  }

  #onFile(event: Event): void {
    const input = event.target as HTMLInputElement;
    const files = [...(input.files ?? [])];
    input.value = '';
    if (files.length > 0) void this.#choose(inOrder(files));
  }

  #type(): void {
    this.#second.dispose();
    this.#second.source = null;
    this.#isTyping = true;
    this.requestUpdate();
  }

  /** Two models are compared with the same settings, unless others are set. */
  async #choose(source: ModelSource | null): Promise<void> {
    const [left, right] = this.#sides!;
    this.#isTyping = false;
    if (source !== null && this.#second.source === null) right.set({ values: left.values });
    const engine = this.loader.model?.info.engine;
    await this.#second.choose(source, engine ? engine.memoryBytes : 0);
  }

  async #onLoad(): Promise<void> {
    this.find('#compare-prompt').focus();
    await this.#second.load();
    if (this.#second.model) announce(t('compare-second-ready'));
  }

  #onInTurn(event: Event): void {
    this.#inTurn = (event.target as HTMLInputElement).checked;
  }

  #onMarks(): void {
    this.#marks = !this.#marks;
    this.requestUpdate();
  }

  #onKey(event: KeyboardEvent): void {
    if (event.isComposing || event.keyCode === 229 || !(event.target instanceof HTMLTextAreaElement)) return;
    if (event.key === 'Escape') return this.#running?.abort();
    if (event.key !== 'Enter' || event.shiftKey || (hasTouchKeyboard() && !event.ctrlKey && !event.metaKey)) return;
    event.preventDefault();
    void this.#ask();
  }

  #onGo(): void {
    this.#running?.abort();
  }

  #onSubmit(event: Event): void {
    event.preventDefault();
    void this.#ask();
  }

  async #ask(): Promise<void> {
    const question = this.find<HTMLTextAreaElement>('#compare-prompt').value.trim();
    if (question === '' || this.#running) return;
    const { source, model } = this.#second;
    if (source !== null && !model) {
      announce(t('compare-load-first'));
      return this.find(this.#second.fits ? '#compare-load' : '#compare-model').focus();
    }
    const { signal } = (this.#running = new AbortController());
    const [left, right] = this.#sides!;
    for (const side of [left, right]) side.set({ state: 'waiting', answer: '', usage: null, error: null });
    const first = this.loader.model;
    const answer = (side: Side, model: typeof first) => side.ask(model, question, this.#messages, signal);
    if (this.#inTurn) {
      await answer(left, first);
      if (signal.aborted) right.set({ state: 'stopped' });
      else await answer(right, model ?? first);
    } else await Promise.all([answer(left, first), answer(right, model ?? first)]);
    this.#running = null;
    announce(signal.aborted ? t('compare-stopped') : t('compare-complete'));
    this.requestUpdate();
  }
}

function checkAddress(event: Event): void {
  const input = event.target as HTMLInputElement;
  const known = input.value === '' || addressOf(input.value) !== null;
  input.setCustomValidity(known ? '' : t('compare-address-wrong'));
}

customElements.define('compare-view', CompareView);
