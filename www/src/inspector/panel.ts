/** A panel of the inspector: closed at first, asks the model for its part when it is opened. */

import { html, nothing, type PropertyDeclarations, type PropertyValues, type TemplateResult } from 'lit';
import type { InspectedToken, Llm } from 'weft-llm';
import { Component } from '../component.js';
import '../error-note.js';
import type { Remedy } from '../errors.js';
import { viewSource, type Call } from './source.js';
import { t } from '../text/text.js';

/** What the panels look at. */
export interface Look {
  readonly model: Llm;
  readonly tokens: readonly InspectedToken[];
  /** Index of the token that was chosen, and of that under the pointer. */
  readonly selected: number;
  readonly peeked: number | null;
  /** Whether the inspector is shown: nothing is computed while it is not. */
  readonly active: boolean;
}

export abstract class Panel<Result> extends Component {
  static override properties: PropertyDeclarations = { look: { attribute: false } };
  declare look: Look;

  protected abstract readonly call: Call;
  /** Says to a newcomer what one sees, in two sentences at most. */
  protected get says(): string {
    return t(`panel-${this.call}`);
  }

  protected result: Result | null = null;
  #open = false;
  #error: unknown;
  #asking: AbortController | null = null;

  protected abstract ask(signal: AbortSignal): Promise<Result>;
  protected abstract show(result: Result): TemplateResult;

  /** What it takes, if that is long. */
  protected cost(): string {
    return '';
  }

  /** The token that was chosen, or that under the pointer. */
  protected get shownToken(): number {
    return this.look.peeked ?? this.look.selected;
  }

  /** Shown before there is a result too. */
  protected controls(): TemplateResult | typeof nothing {
    return nothing;
  }

  protected get ids(): number[] {
    return this.look.tokens.map(({ id }) => id);
  }

  protected override render(): TemplateResult {
    return html`<details class="panel" data-panel=${this.call} @toggle=${this.#onToggle}>
      <summary><h2>${t(`panel-${this.call}.title`)}</h2></summary>
      ${this.#open ? this.#body() : nothing}
    </details>`;
  }

  #body(): TemplateResult {
    const cost = this.cost();
    return html`<p class="says">${this.says}</p>
      ${this.controls()}
      <p class="pending" role="status">
        ${
          this.#asking
            ? html`<span>${t('computing')} ${cost}</span>
                <button type="button" @click=${this.#stop}>${t('stop')}</button>`
            : nothing
        }
      </p>
      ${
        this.#error === undefined
          ? nothing
          : html`<error-note
              .shown=${{ error: this.#error }}
              @remedy=${this.#onRemedy}
              @dismiss=${this.#onDismiss}
            ></error-note>`
      }
      ${
        this.result !== null
          ? html`<div class="result" aria-busy=${this.#asking !== null}>${this.show(this.result)}</div>`
          : this.#asking || this.#error !== undefined
            ? nothing
            : html`<p><button type="button" @click=${this.#again}>${t('compute')}</button> ${cost}</p>`
      }
      ${viewSource(this.call)}`;
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('look')) this.looked(changed.get('look') as Look | undefined);
  }

  protected looked(before: Look | undefined): void {
    const { model, tokens, active } = this.look;
    const anew = before?.tokens !== tokens || before.model !== model;
    if (anew) this.reset();
    if (!active) this.#abort();
    else if ((anew || !before.active) && this.result === null && this.#error === undefined) void this.refresh();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#abort();
  }

  /** Forgets everything about the last text. */
  protected reset(): void {
    this.#abort();
    this.result = null;
    this.#error = undefined;
  }

  /** Asks again; an earlier question is given up. The earlier result stays until the new one. */
  protected async refresh(): Promise<void> {
    this.#abort();
    if (!this.#open || !this.look.active || this.look.tokens.length === 0) return;
    const asking = new AbortController();
    this.#asking = asking;
    this.#error = undefined;
    this.requestUpdate();
    try {
      const result = await this.ask(asking.signal);
      if (asking === this.#asking) this.result = result;
    } catch (error) {
      if (asking === this.#asking) this.#error = error;
    }
    if (asking !== this.#asking) return;
    this.#asking = null;
    this.requestUpdate();
  }

  #abort(): void {
    this.#asking?.abort();
    this.#asking = null;
  }

  #stop(): void {
    this.#abort();
    this.requestUpdate();
    this.find('summary').focus();
  }

  #again(): void {
    this.find('summary').focus();
    void this.refresh();
  }

  #onToggle(event: Event): void {
    if (event.target !== event.currentTarget) return;
    this.#open = (event.target as HTMLDetailsElement).open;
    if (!this.#open) this.#abort();
    else if (this.result === null) void this.refresh();
    this.requestUpdate();
  }

  #onRemedy(event: CustomEvent<Remedy>): void {
    if (event.detail !== 'retry') return; // the page's
    event.stopPropagation();
    this.#again();
  }

  #onDismiss(event: Event): void {
    event.stopPropagation();
    this.#error = undefined;
    this.requestUpdate();
    this.find('summary').focus();
  }
}
