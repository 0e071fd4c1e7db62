/** The newest token of the answer that is written, and what it was drawn from. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import type { Llm, OperationTime } from 'weft-llm';
import { Component } from '../component.js';
import { live, type Step } from '../live.js';
import { rowsOf, STAGES, type Row } from './stages.js';
import { strength } from './strength.js';
import { count, percent, quoted, visible } from './token-text.js';
import { totalsOf } from './totals.js';

/** How many tokens and operations are listed. */
const TOP = 5;

/** Closed at first, and asks nothing of an answer while it is. */
export class LivePanel extends Component {
  static override properties: PropertyDeclarations = {
    model: { attribute: false },
    busy: { type: Boolean },
    empty: { type: Boolean },
  };
  declare model: Llm | null;
  declare busy: boolean;
  /** The chat has no turns: only an open panel is shown. */
  declare empty: boolean;
  #isOpen = false;
  #withTimes = false;
  readonly #onStep = () => {
    if (this.#isOpen) this.requestUpdate();
  };

  override connectedCallback(): void {
    super.connectedCallback();
    live.addEventListener('change', this.#onStep);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    live.removeEventListener('change', this.#onStep);
  }

  protected override render(): TemplateResult | typeof nothing {
    // A model of a server does not show its steps.
    if (typeof this.model?.inspect !== 'function' || (this.empty && !this.#isOpen)) return nothing;
    // It begins with an answer: in the middle of one there is nothing to open.
    const isOut = this.busy && !this.#isOpen;
    return html`<details class=${isOut ? 'live out' : 'live'} ?open=${this.#isOpen} @toggle=${this.#onToggle}>
      <summary>Look inside while it writes</summary>
      ${this.#isOpen ? this.#body() : nothing}
    </details>`;
  }

  #body(): TemplateResult {
    const times = this.#withTimes ? ', and the engine waits after each operation' : '';
    return html`${live.step ? this.#step(live.step) : html`<p class="says">Ask something: each token is shown here when it is drawn.</p>`}
      <label class="check">
        <input type="checkbox" .checked=${this.#withTimes} @change=${this.#onTimes} />
        Times of the operations too
      </label>
      <p class="hint">
        Answers are slower while this is open: the layers of each step are computed one by one${times}.
      </p>`;
  }

  #step({ id, text, inspection }: Step): TemplateResult {
    const { next = [], cachedTokens, timing } = inspection;
    const last = next.at(-1);
    const rows = last ? rowsOf(next, last) : [];
    const drawn = rows.find((row) => row.id === id);
    const shown = rows.slice(0, TOP);
    if (drawn && !shown.includes(drawn)) shown.push(drawn);
    return html`<p class="says">
        ${quoted(drawn ?? { text })} was drawn${drawn ? `, with ${percent(drawn.after)} after the sampler` : ''};
        ${count(cachedTokens, 'token')} ${cachedTokens === 1 ? 'is' : 'are'} remembered.
      </p>
      <ol class="bars" aria-label="Tokens that it was drawn from">
        ${shown.map((row) => rowOf(row, row === drawn))}
      </ol>
      ${timing ? times(timing) : nothing}`;
  }

  #onToggle(event: Event): void {
    this.#isOpen = (event.currentTarget as HTMLDetailsElement).open;
    if (!this.#isOpen) live.see(null);
    this.#ask();
  }

  #onTimes(event: Event): void {
    this.#withTimes = (event.currentTarget as HTMLInputElement).checked;
    this.#ask();
  }

  #ask(): void {
    live.wanted = this.#isOpen ? { next: { top: TOP }, ...(this.#withTimes ? { timing: true } : {}) } : null;
    this.requestUpdate();
  }
}

function rowOf(row: Row, isDrawn: boolean): TemplateResult {
  const by = html`cut<span class="by"> by ${STAGES[row.cutBy ?? ''] ?? row.cutBy}</span>`;
  return html`<li class=${row.cutBy === null ? '' : 'cut'} aria-current=${isDrawn ? 'true' : nothing}>
    <span class="name"><bdi>${visible(row)}</bdi></span>
    <span class="bar" aria-hidden="true">
      <i class="was" ${strength(row.probability)}></i>
      <i class="now" ${strength(row.after)}></i>
    </span>
    <span class="figures">
      ${row.listed ? percent(row.probability) : 'less'} → ${row.cutBy === null ? percent(row.after) : by}
    </span>
  </li>`;
}

function times(timing: readonly OperationTime[]): TemplateResult {
  const totals = totalsOf(timing);
  const sum = totals.reduce((total, { milliseconds }) => total + milliseconds, 0);
  const longest = totals.slice(0, TOP).map(({ operation, milliseconds }) => `${operation} ${milliseconds.toFixed(1)}`);
  return html`<p class="says step-times">${sum.toFixed(1)} ms in operations: ${longest.join(' · ')}</p>`;
}

customElements.define('live-panel', LivePanel);
