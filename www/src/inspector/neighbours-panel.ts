/** Tokens whose embeddings lie near that of the chosen one. */

import { html, type TemplateResult } from 'lit';
import type { NearToken } from 'weft-llm';
import { neighbours } from './calls.js';
import { Panel, type Look } from './panel.js';
import { quoted, visible } from './token-text.js';
import { strength } from './strength.js';
import { number, t } from '../text/text.js';

interface Neighbours {
  /** As it is written. */
  readonly of: string;
  readonly near: readonly NearToken[];
}

class NeighboursPanel extends Panel<Neighbours> {
  protected override readonly call = 'neighbours';
  /** Of the text, of a neighbour, or typed. */
  #token: { id: number; text: string } | string | null = null;

  get #from(): { id: number; text: string } | string {
    return this.#token ?? this.look.tokens[this.look.selected] ?? '';
  }

  protected override async ask(signal: AbortSignal): Promise<Neighbours> {
    const from = this.#from;
    const near = await neighbours(this.look.model, typeof from === 'string' ? from : from.id, signal);
    return { of: quoted(typeof from === 'string' ? { text: from } : from), near };
  }

  protected override looked(before: Look | undefined): void {
    super.looked(before);
    if (before?.selected === this.look.selected) return;
    this.#token = null;
    if (before?.tokens === this.look.tokens) void this.refresh();
  }

  protected override controls(): TemplateResult {
    return html`<form class="controls" @submit=${this.#onSubmit}>
      <label for="near-token">${t('near-token')}</label>
      <input id="near-token" autocomplete="off" spellcheck="false" dir="auto" required />
      <button type="submit">${t('near-find')}</button>
    </form>`;
  }

  protected override show({ of, near }: Neighbours): TemplateResult {
    return html`<p class="detail" role="status">${t('near-of', { token: of })}</p>
      <ol class="bars" aria-label=${t('near-list')}>
        ${near.map(
          (token) =>
            html`<li>
              <button
                type="button"
                aria-label=${t('near-go', { token: quoted(token) })}
                @click=${() => this.#go(token)}
              >
                <bdi>${visible(token)}</bdi>
              </button>
              <span class="bar" aria-hidden="true">
                <i class="now" ${strength(Math.max(token.similarity, 0))}></i>
              </span>
              <span class="figures"
                >${number(token.similarity, { minimumFractionDigits: 2, maximumFractionDigits: 2 })}</span
              >
            </li>`,
        )}
      </ol>`;
  }

  #go(token: { id: number; text: string } | string): void {
    this.#token = token;
    void this.refresh();
  }

  #onSubmit(event: Event): void {
    event.preventDefault();
    this.#go(this.find<HTMLInputElement>('#near-token').value);
  }
}

customElements.define('neighbours-panel', NeighboursPanel);
