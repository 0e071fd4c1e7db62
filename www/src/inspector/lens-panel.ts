/** What each layer would say next, if it were the last. */

import { html, type TemplateResult } from 'lit';
import type { LensLayer } from 'weft-llm';
import { lens } from './calls.js';
import { Panel } from './panel.js';
import { indexOf, rove } from './roving.js';
import { percent, quoted, visible } from './token-text.js';
import { strength } from './strength.js';
import { list, t } from '../text/text.js';

const WIDTHS = [1, 4, 8, 16];

class LensPanel extends Panel<readonly LensLayer[]> {
  protected override readonly call = 'lens';
  #width = 4;
  #chosen = 0;

  get #positions(): number[] {
    const { length } = this.look.tokens;
    return Array.from(
      { length: Math.min(this.#width, length) },
      (_, at) => length - Math.min(this.#width, length) + at,
    );
  }

  protected override ask(signal: AbortSignal): Promise<readonly LensLayer[]> {
    return lens(this.look.model, this.ids, this.#positions, signal);
  }

  protected override cost(): string {
    const heads = this.look.model.info.layers * this.#positions.length;
    return heads > 60 ? t('lens-cost', { rows: heads }) : '';
  }

  protected override controls(): TemplateResult {
    return html`<div class="controls">
      <label>
        ${t('lens-positions')}
        <select @change=${this.#onWidth}>
          ${WIDTHS.map(
            (width) =>
              html`<option value=${width} ?selected=${width === this.#width}>
                ${t('lens-last', { count: width })}
              </option>`,
          )}
        </select>
      </label>
    </div>`;
  }

  protected override show(layers: readonly LensLayer[]): TemplateResult {
    const positions = layers[0]?.positions.map(({ position }) => position) ?? [];
    const chosen = Math.min(this.#chosen, layers.length * positions.length - 1);
    return html`<p class="detail" id="lens-detail" data-testid="lens-detail">${this.#detail(layers, chosen)}</p>
      <div class="scroll" role="group" aria-label=${t('lens-group')}>
        <table
          role="grid"
          class="lens"
          aria-label=${t('lens-table')}
          @keydown=${(event: KeyboardEvent) => rove(event, positions.length)}
          @focusin=${this.#onCell}
          @click=${this.#onCell}
        >
          <thead>
            <tr>
              <th scope="col">${t('lens-after')}</th>
              ${positions.map(
                (at) =>
                  html`<th scope="col">
                    <bdi>${visible(this.look.tokens[at] ?? { text: '' })}</bdi> ${t('lens-arrow')}
                  </th>`,
              )}
            </tr>
          </thead>
          <tbody>
            ${layers.map(
              ({ layer, positions: cells }, row) =>
                html`<tr>
                  <th scope="row">${layer}</th>
                  ${cells.map(({ top }, column) => {
                    const index = row * positions.length + column;
                    return html`<td
                      role="gridcell"
                      aria-selected=${index === chosen}
                      aria-describedby=${index === chosen ? 'lens-detail' : ''}
                      tabindex=${index === chosen ? 0 : -1}
                      data-index=${index}
                      ${strength(top[0]?.probability ?? 0)}
                    >
                      <bdi>${visible(top[0] ?? { text: '' })}</bdi>
                    </td>`;
                  })}
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`;
  }

  #detail(layers: readonly LensLayer[], chosen: number): string {
    const width = layers[0]?.positions.length ?? 0;
    const layer = layers[Math.floor(chosen / width)];
    const cell = layer?.positions[chosen % width];
    if (!layer || !cell) return '';
    const guesses = cell.top.map((token) => t('share-of', { token: quoted(token), share: percent(token.probability) }));
    return t('lens-detail', {
      layer: layer.layer,
      token: quoted(this.look.tokens[cell.position] ?? { text: '' }),
      guesses: list(guesses),
    });
  }

  #onCell(event: Event): void {
    const index = indexOf(event);
    if (index === null) return;
    this.#chosen = index;
    this.requestUpdate();
  }

  #onWidth(event: Event): void {
    this.#width = Number((event.target as HTMLSelectElement).value);
    this.#chosen = 0;
    void this.refresh();
  }
}

customElements.define('lens-panel', LensPanel);
