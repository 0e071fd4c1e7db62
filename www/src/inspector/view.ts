/** The inspector: a text as the model reads it, and panels that show what it computes. */

import { html, nothing, type PropertyDeclarations, type PropertyValues, type TemplateResult } from 'lit';
import type { Inspection, Llm, Message } from 'weft-llm';
import { Component } from '../component.js';
import '../error-note.js';
import type { Remedy } from '../errors.js';
import './attention-panel.js';
import { tokens } from './calls.js';
import './experts-panel.js';
import './inspector.css';
import './panels.css';
import english from '../text/en/inspector.ftl?raw';
import './lens-panel.js';
import './neighbours-panel.js';
import './next-panel.js';
import './norms-panel.js';
import type { Look } from './panel.js';
import './rotations-panel.js';
import { viewSource } from './source.js';
import './timing-panel.js';
import { hex, percent, quoted } from './token-text.js';
import './token-strip.js';
import { addEnglish, number, t } from '../text/text.js';

addEnglish(english);

const EXAMPLES = [
  'The tiger jumped out of a tree to get a drink because it was thirsty',
  'The capital of Germany is Berlin, and the capital of France is',
  'One, two, three, four,',
];

/** Sends `back` to the chat, and those remedies of an error that are the page's. */
export class InspectorView extends Component {
  static override properties: PropertyDeclarations = {
    model: { attribute: false },
    active: { type: Boolean },
  };
  declare model: Llm | null;
  /** Whether the view is shown: nothing is computed while it is not. */
  declare active: boolean;
  #text = EXAMPLES[0]!;
  /** A conversation to look at instead of a text. */
  #messages: readonly Message[] | null = null;
  /** Whether to look when the view is shown. */
  #wanted = true;
  #seen: Inspection | null = null;
  #error: unknown;
  #asking: AbortController | null = null;
  #selected = 0;
  #peeked: number | null = null;

  /** Looks at a conversation up to one of its answers. */
  look(messages: readonly Message[]): void {
    this.#messages = messages;
    this.#wanted = true;
    this.requestUpdate();
  }

  focusFirst(): void {
    this.find('h1').focus();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('model')) {
      this.#abort();
      this.#seen = null;
      this.#error = undefined;
      this.#wanted = true;
    }
    if (!this.active) this.#abort();
    else if (this.#wanted) void this.#inspect();
  }

  /** Why nothing can be shown of a model. */
  #reason(model: Llm): string | null {
    if (typeof model.inspect !== 'function') return t('inspector-remote');
    return null;
  }

  protected override render(): TemplateResult {
    return html`<section id="inspector" aria-labelledby="inspector-title">
      <button type="button" class="back" @click=${() => this.dispatchEvent(new Event('back'))}>
        ${t('inspector-back')}
      </button>
      <h1 id="inspector-title" tabindex="-1">${t('inspector-title')}</h1>
      ${this.#body()}
    </section>`;
  }

  #body(): TemplateResult {
    if (!this.model) return this.#choose(t('inspector-no-model'));
    const reason = this.#reason(this.model);
    if (reason !== null) return this.#choose(reason);
    return html`
      <p class="lead">${t('inspector-lead')}</p>
      ${this.#messages ? this.#conversation() : this.#form()}
      <p class="pending" role="status">${this.#asking ? html`<span>${t('inspector-reading')}</span>` : nothing}</p>
      ${
        this.#error === undefined
          ? nothing
          : html`<error-note
              .shown=${{ error: this.#error }}
              @remedy=${this.#onRemedy}
              @dismiss=${this.#onDismiss}
            ></error-note>`
      }
      ${this.#seen ? this.#panels(this.model, this.#seen) : nothing}
    `;
  }

  #choose(text: string): TemplateResult {
    return html`<p class="lead">${text}</p>
      <button type="button" class="primary" @click=${() => this.#send('choose-model')}>${t('choose-model')}</button>`;
  }

  #form(): TemplateResult {
    return html`<form class="look" @submit=${this.#onSubmit}>
        <label for="inspected">${t('inspector-text')}</label>
        <textarea
          id="inspected"
          rows="2"
          dir="auto"
          .value=${this.#text}
          @input=${(event: Event) => (this.#text = (event.target as HTMLTextAreaElement).value)}
        ></textarea>
        <button type="submit" class="primary">${t('inspector-look')}</button>
      </form>
      <ul class="examples" aria-label=${t('examples')}>
        ${EXAMPLES.map(
          (example) =>
            html`<li>
              <button type="button" class="example" lang="en" dir="auto" @click=${() => this.#onExample(example)}>
                ${example}
              </button>
            </li>`,
        )}
      </ul>`;
  }

  #conversation(): TemplateResult {
    return html`<p class="looked-at">
      ${t('inspector-conversation')}
      <button type="button" @click=${this.#ownText}>${t('inspector-own-text')}</button>
    </p>`;
  }

  #panels(model: Llm, { tokens }: Inspection): TemplateResult {
    const look: Look = { model, tokens, selected: this.#selected, peeked: this.#peeked, active: this.active };
    return html`<div class="panels" aria-busy=${this.#asking !== null} @choose=${this.#onChoose} @peek=${this.#onPeek}>
      <section class="panel" data-panel="tokens" aria-labelledby="tokens-title">
        <h2 id="tokens-title">${t('tokens-title')}</h2>
        <p class="says">${t('tokens-says')}</p>
        <token-strip
          .tokens=${tokens}
          .selected=${this.#selected}
          label=${t('tokens-list')}
          describedBy="token-detail"
        ></token-strip>
        <p class="detail" id="token-detail" data-testid="token-detail">
          ${describe(tokens, this.#peeked ?? this.#selected)}
        </p>
        <p class="hint">${t('tokens', { count: tokens.length })}</p>
        ${viewSource('tokens')}
      </section>
      <attention-panel .look=${look}></attention-panel>
      ${model.info.kind === 'encoder' ? this.#ofEncoder(look) : this.#ofDecoder(look)}
    </div>`;
  }

  #ofEncoder(look: Look): TemplateResult {
    return html`<norms-panel .look=${look}></norms-panel>
      <p class="panel says">${t('inspector-encoder')}</p>`;
  }

  #ofDecoder(look: Look): TemplateResult {
    return html`<next-panel .look=${look}></next-panel>
      <lens-panel .look=${look}></lens-panel>
      <norms-panel .look=${look}></norms-panel>
      <rotations-panel .look=${look}></rotations-panel>
      <neighbours-panel .look=${look}></neighbours-panel>
      <experts-panel .look=${look}></experts-panel>
      <timing-panel .look=${look}></timing-panel>`;
  }

  async #inspect(): Promise<void> {
    if (!this.model || this.#reason(this.model) !== null) return;
    const prompt = this.#messages ?? this.#text;
    if (prompt === '') return;
    this.#abort();
    this.#wanted = false;
    this.#error = undefined;
    const asking = new AbortController();
    this.#asking = asking;
    this.requestUpdate();
    try {
      const seen = await tokens(this.model, prompt, asking.signal);
      if (asking !== this.#asking) return;
      this.#seen = seen;
      this.#selected = lookedAt(seen.tokens);
      this.#peeked = null;
    } catch (error) {
      if (asking !== this.#asking) return;
      this.#error = error;
      this.#seen = null;
    }
    this.#asking = null;
    this.requestUpdate();
  }

  #abort(): void {
    if (!this.#asking) return;
    this.#asking.abort();
    this.#asking = null;
    this.#wanted = true;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#abort();
  }

  #onSubmit(event: Event): void {
    event.preventDefault();
    void this.#inspect();
  }

  #onExample(example: string): void {
    this.#text = example;
    void this.#inspect();
  }

  async #ownText(): Promise<void> {
    this.#messages = null;
    void this.#inspect();
    await this.updateComplete;
    this.find('#inspected').focus();
  }

  #onChoose(event: CustomEvent<number>): void {
    this.#selected = event.detail;
    this.#peeked = null;
    this.requestUpdate();
  }

  #onPeek(event: CustomEvent<number | null>): void {
    if (event.detail === this.#peeked) return;
    this.#peeked = event.detail;
    this.requestUpdate();
  }

  #onRemedy(event: CustomEvent<Remedy>): void {
    if (event.detail !== 'retry') return; // the page's
    event.stopPropagation();
    this.focusFirst();
    void this.#inspect();
  }

  #onDismiss(event: Event): void {
    event.stopPropagation();
    this.#error = undefined;
    this.requestUpdate();
    this.focusFirst();
  }

  #send(remedy: Remedy): void {
    this.dispatchEvent(new CustomEvent('remedy', { detail: remedy, bubbles: true }));
  }
}

/** The token that is chosen first: “it” of the example, which looks at the tiger, or the last. */
function lookedAt(tokens: Inspection['tokens']): number {
  const it = tokens.findLastIndex(({ text }) => text.trim() === 'it');
  return it >= 0 ? it : Math.max(tokens.length - 1, 0);
}

function describe(tokens: Inspection['tokens'], index: number): string {
  const token = tokens[index];
  if (!token) return t('tokens-none');
  const parts = [
    t('token-place', { token: quoted(token), place: index + 1, of: tokens.length }),
    t('token-id', { id: String(token.id) }),
    t('token-bytes', { count: token.bytes.length, bytes: hex(token.bytes) }),
  ];
  if (token.special) parts.push(t('token-special'));
  if (token.logprob !== null)
    parts.push(
      t('token-logprob', {
        logprob: number(token.logprob, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).replace('-', '−'),
        share: percent(Math.exp(token.logprob)),
      }),
    );
  return parts.join(' · ');
}

customElements.define('inspector-view', InspectorView);
