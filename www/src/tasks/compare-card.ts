/** How similar two texts are. */

import { html, nothing, type TemplateResult } from 'lit';
import type { Llm } from 'weft-llm';
import { TaskCard } from './card.js';
import { compare } from './code/compare.js';
import './embedder.js';
import { Values } from './fields.js';
import { number, t } from '../text/text.js';

const values = new Values([
  { name: 'first', kind: 'text', value: 'The cat sleeps on the warm roof.' },
  { name: 'second', kind: 'text', value: 'A kitten naps up there in the sun.' },
]);

export class CompareCard extends TaskCard {
  #similarity: number | null = null;

  protected override get verb(): string {
    return t('nav-compare');
  }

  protected override fields(): TemplateResult {
    return html`<embedder-picker .model=${this.model} @change=${() => this.requestUpdate()}></embedder-picker>
      ${values.render()}`;
  }

  protected override result(): TemplateResult | typeof nothing {
    if (this.#similarity === null) return nothing;
    return html`<ul class="scores" data-testid="scores">
        <li>
          <span>${t('task-similarity')}</span>
          <meter min="0" max="1" value=${this.#similarity} aria-label=${t('task-similarity')}></meter>
          <span>${number(this.#similarity, { minimumFractionDigits: 2, maximumFractionDigits: 2 })}</span>
        </li>
      </ul>
      <p class="hint">${t('task-similarity-hint')}</p>`;
  }

  protected override async work(embedder: Llm, signal: AbortSignal): Promise<void> {
    this.#similarity = null;
    this.#similarity = await compare(embedder, values.get('first'), values.get('second'), signal);
  }
}

customElements.define('compare-card', CompareCard);
