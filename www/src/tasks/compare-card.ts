/** How similar two texts are. */

import { html, nothing, type TemplateResult } from 'lit';
import type { Llm } from 'weft-llm';
import { TaskCard } from './card.js';
import { compare } from './code/compare.js';
import './embedder.js';
import { Values } from './fields.js';

const values = new Values([
  { name: 'first', label: 'First text', kind: 'text', value: 'The cat sleeps on the warm roof.' },
  { name: 'second', label: 'Second text', kind: 'text', value: 'A kitten naps up there in the sun.' },
]);

export class CompareCard extends TaskCard {
  #similarity: number | null = null;

  protected override readonly verb = 'Compare';

  protected override fields(): TemplateResult {
    return html`<embedder-picker .model=${this.model} @change=${() => this.requestUpdate()}></embedder-picker>
      ${values.render()}`;
  }

  protected override result(): TemplateResult | typeof nothing {
    if (this.#similarity === null) return nothing;
    return html`<ul class="scores" data-testid="scores">
        <li>
          <span>similarity</span>
          <meter min="0" max="1" value=${this.#similarity} aria-label="similarity"></meter>
          <span>${this.#similarity.toFixed(2)}</span>
        </li>
      </ul>
      <p class="hint">
        The cosine of the two vectors: 1 for the same text. What counts as similar differs from model to model.
      </p>`;
  }

  protected override async work(embedder: Llm, signal: AbortSignal): Promise<void> {
    this.#similarity = null;
    this.#similarity = await compare(embedder, values.get('first'), values.get('second'), signal);
  }
}

customElements.define('compare-card', CompareCard);
