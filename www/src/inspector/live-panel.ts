/** The newest token of the answer that is written, and what it was drawn from. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import type { Llm, OperationTime } from 'weft-llm';
import { Component } from '../component.js';
import { live, type Step } from '../live.js';
import { rowsOf, stageName, type Row } from './stages.js';
import { strength } from './strength.js';
import { number, rich, t } from '../text/text.js';
import { percent, quoted, visible } from './token-text.js';
import { totalsOf } from './totals.js';

/** How many tokens and operations are listed. */
const TOP = 5;

const DIGIT = { minimumFractionDigits: 1, maximumFractionDigits: 1 };

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
      <summary>${t('live-title')}</summary>
      ${this.#isOpen ? this.#body() : nothing}
    </details>`;
  }

  #body(): TemplateResult {
    return html`${live.step ? this.#step(live.step) : html`<p class="says">${t('live-ask')}</p>`}
      <label class="check">
        <input type="checkbox" .checked=${this.#withTimes} @change=${this.#onTimes} />
        ${t('live-times')}
      </label>
      <p class="hint">${this.#withTimes ? t('live-slower-times') : t('live-slower')}</p>`;
  }

  #step({ id, text, inspection }: Step): TemplateResult {
    const { next = [], cachedTokens, timing } = inspection;
    const last = next.at(-1);
    const rows = last ? rowsOf(next, last) : [];
    const drawn = rows.find((row) => row.id === id);
    const shown = rows.slice(0, TOP);
    if (drawn && !shown.includes(drawn)) shown.push(drawn);
    return html`<p class="says">
        ${
          drawn
            ? t('live-drawn', { token: quoted(drawn), share: percent(drawn.after) })
            : t('live-drawn-alone', { token: quoted({ text }) })
        }
        ${t('live-remembered', { count: cachedTokens })}
      </p>
      <ol class="bars" aria-label=${t('live-tokens')}>
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
  const before = row.listed ? percent(row.probability) : t('next-less');
  // Where the row is narrow, the stage is left out, see bars.css.
  const cut = () =>
    html`<span class="by">${t('next-cut', { stage: stageName(row.cutBy ?? '') })}</span>
      <span class="by-none">${t('live-cut')}</span>`;
  const after = row.cutBy === null ? percent(row.after) : cut();
  return html`<li class=${row.cutBy === null ? '' : 'cut'} aria-current=${isDrawn ? 'true' : nothing}>
    <span class="name"><bdi>${visible(row)}</bdi></span>
    <span class="bar" aria-hidden="true">
      <i class="was" ${strength(row.probability)}></i>
      <i class="now" ${strength(row.after)}></i>
    </span>
    <span class="figures"> ${rich('next-figures', { before, after })} </span>
  </li>`;
}

function times(timing: readonly OperationTime[]): TemplateResult {
  const totals = totalsOf(timing);
  const sum = totals.reduce((total, { milliseconds }) => total + milliseconds, 0);
  const longest = totals
    .slice(0, TOP)
    .map(({ operation, milliseconds }) => `${operation} ${number(milliseconds, DIGIT)}`);
  const says = t('live-operations', { time: number(sum, DIGIT), longest: longest.join(' · ') });
  return html`<p class="says step-times">${says}</p>`;
}

customElements.define('live-panel', LivePanel);
