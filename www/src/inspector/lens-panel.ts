/** What each layer would say next, if it were the last. */

import { html, type TemplateResult } from 'lit';
import type { LensLayer } from 'weft-llm';
import { lens } from './calls.js';
import { Panel } from './panel.js';
import { indexOf, rove } from './roving.js';
import { percent, quoted, visible } from './token-text.js';
import { strength } from './strength.js';

const WIDTHS = [1, 4, 8, 16];

class LensPanel extends Panel<readonly LensLayer[]> {
  protected override readonly call = 'lens';
  protected override readonly heading = 'What each layer would say';
  protected override readonly says =
    'Each layer adds something to the row of numbers that a token has become, and here the model’s output head reads these rows early. ' +
    'From the first layer to the last one sees guesses turn into the answer; a longer line under a guess means that it is surer.';
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
    return heads > 60 ? `The output head reads ${heads} rows, which may take some seconds.` : '';
  }

  protected override controls(): TemplateResult {
    return html`<div class="controls">
      <label>
        Positions
        <select @change=${this.#onWidth}>
          ${WIDTHS.map(
            (width) =>
              html`<option value=${width} ?selected=${width === this.#width}>
                ${width === 1 ? 'the last' : `the last ${width}`}
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
      <div class="scroll" role="group" aria-label="Guesses of the layers">
        <table
          role="grid"
          class="lens"
          aria-label="Likeliest next token by layer and position"
          @keydown=${(event: KeyboardEvent) => rove(event, positions.length)}
          @focusin=${this.#onCell}
          @click=${this.#onCell}
        >
          <thead>
            <tr>
              <th scope="col">after layer</th>
              ${positions.map(
                (at) => html`<th scope="col"><bdi>${visible(this.look.tokens[at] ?? { text: '' })}</bdi> →</th>`,
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
    const guesses = cell.top.map((token) => `${quoted(token)} ${percent(token.probability)}`);
    return `After layer ${layer.layer}, behind ${quoted(this.look.tokens[cell.position] ?? { text: '' })}: ${guesses.join(', ')}.`;
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
