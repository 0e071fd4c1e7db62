/** Which earlier tokens a token reads: by layer and head, and as means. */

import { html, nothing, type TemplateResult } from 'lit';
import type { AttentionLayer } from 'weft-llm';
import { attention } from './calls.js';
import { Panel } from './panel.js';
import { indexOf, rove } from './roving.js';
import { percent, quoted } from './token-text.js';
import './token-strip.js';
import { strength } from './strength.js';
import { list, rich, t } from '../text/text.js';

/** Above this, one layer is asked for at a time. */
const WEIGHT_BYTES = 64e6;

/** Null: the mean of all. */
interface Choice {
  layer: number | null;
  head: number | null;
}

class AttentionPanel extends Panel<readonly AttentionLayer[]> {
  protected override readonly call = 'attention';
  protected override get says(): string {
    return this.#isEncoder ? t('panel-attention.encoder') : super.says;
  }

  #choice: Choice = { layer: null, head: null };
  /** Asked for alone, where all layers are too many. */
  #only = 0;
  #skipsFirst = true;

  get #isEncoder(): boolean {
    return this.look.model.info.kind === 'encoder';
  }

  get #all(): boolean {
    const { layers, hiddenSize } = this.look.model.info;
    return layers * (hiddenSize / 64) * this.look.tokens.length ** 2 * 4 <= WEIGHT_BYTES;
  }

  protected override ask(signal: AbortSignal): Promise<readonly AttentionLayer[]> {
    const every = Array.from({ length: this.look.model.info.layers }, (_, layer) => layer);
    return attention(this.look.model, this.ids, this.#all ? every : [this.#only], signal);
  }

  protected override cost(): string {
    return this.#all ? '' : t('attention-cost');
  }

  protected override controls(): TemplateResult {
    return html`<div class="controls">
      <label class="check">
        <input type="checkbox" ?checked=${this.#skipsFirst} @change=${this.#onSkip} />
        ${t('attention-skip')}
      </label>
      ${
        this.#all
          ? nothing
          : html`<label>
              ${t('layer-label')}
              <select @change=${this.#onLayer}>
                ${Array.from({ length: this.look.model.info.layers }, (_, layer) => html`<option>${layer}</option>`)}
              </select>
            </label>`
      }
    </div>`;
  }

  protected override show(layers: readonly AttentionLayer[]): TemplateResult {
    const weights = this.#chosen(layers);
    const shown = weights.map((weight, index) => (this.#skipsFirst && index === 0 ? 0 : weight));
    const most = Math.max(...shown, 1e-9);
    return html`
      <token-strip
        .tokens=${this.look.tokens}
        .selected=${this.look.selected}
        .weights=${shown.map((weight) => weight / most)}
        label=${t('attention-tokens')}
        describedBy="attention-detail"
      ></token-strip>
      <p class="detail" id="attention-detail" data-testid="attention-detail">${this.#detail(weights)}</p>
      ${this.#grid(layers)}
    `;
  }

  /** The weights of the chosen token: of a head, of a layer's mean, or of the mean of all. */
  #chosen(layers: readonly AttentionLayer[]): number[] {
    const { layer, head } = this.#choice;
    const used = layer === null ? layers : layers.filter((one) => one.layer === layer);
    const sums = this.look.tokens.map(() => 0);
    let rows = 0;
    for (const one of used) {
      for (const at of head === null ? Array(one.heads).keys() : [head]) {
        this.#row(one, at).forEach((weight, index) => (sums[index]! += weight));
        rows += 1;
      }
    }
    return sums.map((sum) => sum / Math.max(rows, 1));
  }

  /** What the chosen token reads in a head. */
  #row({ weights }: AttentionLayer, head: number): Float32Array {
    const tokens = this.look.tokens.length;
    const start = (head * tokens + this.shownToken) * tokens;
    return weights.subarray(start, start + tokens);
  }

  #detail(weights: readonly number[]): string {
    const { layer, head } = this.#choice;
    const best = weights
      .map((weight, index) => ({ weight, index }))
      .filter(({ weight, index }) => weight >= 0.005 && !(this.#skipsFirst && index === 0))
      .sort((a, b) => b.weight - a.weight)
      .slice(0, 5)
      .map(({ weight, index }) => t('share-of', { token: this.#name(index), share: percent(weight) }));
    return t('attention-detail', {
      where: layer === null ? 'all' : head === null ? 'layer' : 'head',
      layer: layer ?? 0,
      head: head ?? 0,
      token: this.#name(this.shownToken),
      seen: best.length > 0 ? list(best) : t('attention-nothing'),
      skips: this.#skipsFirst ? 'yes' : 'no',
      first: percent(weights[0] ?? 0),
    });
  }

  #name(index: number): string {
    const token = this.look.tokens[index];
    return token ? t('token-at', { token: quoted(token), place: index + 1 }) : '';
  }

  /** A row a layer, a column a head, and the means before them. */
  #grid(layers: readonly AttentionLayer[]): TemplateResult {
    const heads = layers[0]?.heads ?? 0;
    const columns = heads + 1;
    const means = layers.length > 1;
    const rows = layers.map((layer, row) => {
      const first = (row + (means ? 1 : 0)) * columns;
      return html`<tr>
        <th scope="row">${layer.layer}</th>
        ${this.#cell(first, layer.layer, null, this.#strongest(layer, null))}
        ${Array.from({ length: heads }, (_, head) =>
          this.#cell(first + 1 + head, layer.layer, head, this.#strongest(layer, head)),
        )}
      </tr>`;
    });
    return html`${this.#hint(layers)}
      <div class="scroll" role="group" aria-label=${t('attention-grid')}>
        <table
          role="grid"
          class="heads"
          aria-label=${t('attention-heads')}
          @keydown=${(event: KeyboardEvent) => rove(event, columns)}
          @focusin=${(event: Event) => this.#onCell(event, layers, columns)}
          @click=${(event: Event) => this.#onCell(event, layers, columns)}
        >
          <thead>
            <tr>
              <th scope="col">${t('layer')}</th>
              <th scope="col">${t('attention-mean')}</th>
              ${Array.from({ length: heads }, (_, head) => html`<th scope="col">${head}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${
              means
                ? html`<tr>
                    <th scope="row">${t('attention-all')}</th>
                    ${this.#cell(0, null, null, null)} ${Array.from({ length: heads }, () => html`<td></td>`)}
                  </tr>`
                : nothing
            }
            ${rows}
          </tbody>
        </table>
      </div>`;
  }

  /** What the grid shows, and the head that looks hardest at one token further away. */
  #hint(layers: readonly AttentionLayer[]): TemplateResult {
    const all = layers.flatMap((layer) =>
      Array.from({ length: layer.heads }, (_, head) => ({
        layer: layer.layer,
        head,
        ...this.#strongest(layer, head, 2),
      })),
    );
    const best = all.reduce((a, b) => (b.weight > a.weight ? b : a), all[0]!);
    const query = quoted(this.look.tokens[this.shownToken] ?? { text: '' });
    return html`<p class="hint">
      ${t('attention-cells', { layers: layers.length, heads: layers[0]?.heads ?? 0, token: query })}
      ${
        best.weight > 0
          ? rich('attention-hardest', {
              head: html`<button type="button" class="inline" @click=${() => this.#choose(best)}>
                ${t('attention-head', { layer: best.layer, head: best.head })}
              </button>`,
              token: this.#name(best.index),
            })
          : nothing
      }
    </p>`;
  }

  async #choose({ layer, head }: Choice): Promise<void> {
    this.#choice = { layer, head };
    this.requestUpdate();
    await this.updateComplete;
    this.find('.heads [aria-selected=true]').focus();
  }

  #cell(
    index: number,
    layer: number | null,
    head: number | null,
    strongest: { weight: number; index: number } | null,
  ): TemplateResult {
    const chosen = this.#choice.layer === layer && this.#choice.head === head;
    const where = layer === null ? 'all' : head === null ? 'layer' : 'head';
    const cell = t('attention-cell', { where, layer: layer ?? 0, head: head ?? 0 });
    const name = strongest?.weight
      ? t('attention-cell-most', { cell, token: this.#name(strongest.index), share: percent(strongest.weight) })
      : cell;
    return html`<td
      role="gridcell"
      aria-label=${name}
      title=${name}
      aria-selected=${chosen}
      tabindex=${chosen ? 0 : -1}
      data-index=${index}
      ${strength(Math.sqrt(strongest?.weight ?? 0))}
    ></td>`;
  }

  /** The token that a head reads most, of those so many tokens away or more. */
  #strongest(layer: AttentionLayer, head: number | null, away = 1): { weight: number; index: number } {
    const rows = Array.from(head === null ? Array(layer.heads).keys() : [head], (at) => this.#row(layer, at));
    const best = { weight: 0, index: 0 };
    for (let index = this.#skipsFirst ? 1 : 0; index < this.look.tokens.length; index++) {
      if (Math.abs(index - this.shownToken) < away) continue;
      const weight = rows.reduce((sum, row) => sum + row[index]!, 0) / rows.length;
      if (weight > best.weight) Object.assign(best, { weight, index });
    }
    return best;
  }

  #onCell(event: Event, layers: readonly AttentionLayer[], columns: number): void {
    const index = indexOf(event);
    if (index === null) return;
    const row = Math.floor(index / columns) - (layers.length > 1 ? 1 : 0);
    const column = index % columns;
    this.#choice = { layer: layers[row]?.layer ?? null, head: row < 0 || column === 0 ? null : column - 1 };
    this.requestUpdate();
  }

  #onSkip(event: Event): void {
    this.#skipsFirst = (event.target as HTMLInputElement).checked;
    this.requestUpdate();
  }

  #onLayer(event: Event): void {
    this.#only = (event.target as HTMLSelectElement).selectedIndex;
    this.#choice = { layer: this.#only, head: null };
    void this.refresh();
  }

  protected override reset(): void {
    super.reset();
    this.#choice = { layer: this.#all ? null : this.#only, head: null };
  }
}

customElements.define('attention-panel', AttentionPanel);
