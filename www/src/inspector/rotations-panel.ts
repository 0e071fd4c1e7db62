/** RoPE: the hands of slow and fast pairs over the positions. */

import { html, nothing, svg, type TemplateResult } from 'lit';
import type { Rotations } from 'weft-llm';
import { rotations } from './calls.js';
import { Panel } from './panel.js';
import { list, t } from '../text/text.js';

const PAIRS = 6;
const POSITIONS = 32;
const SIZE = 26;

class RotationsPanel extends Panel<readonly Rotations[]> {
  protected override readonly call = 'rotations';

  protected override ask(signal: AbortSignal): Promise<readonly Rotations[]> {
    return rotations(this.look.model, this.ids, signal);
  }

  protected override show(rotations: readonly Rotations[]): TemplateResult {
    if (rotations.length === 0) return html`<p>${t('rotations-none')}</p>`;
    return html`${rotations.map((one) => this.#table(one, rotations.length > 1))}`;
  }

  #table({ layers, angles }: Rotations, several: boolean): TemplateResult {
    const all = angles[0]?.length ?? 0;
    const pairs = new Set(Array.from({ length: PAIRS }, (_, at) => Math.round((at * (all - 1)) / (PAIRS - 1))));
    const shown = angles.slice(0, POSITIONS);
    return html`<div class="scroll" tabindex="0" role="group" aria-label=${t('rotations-group')}>
      <table class="rotations">
        <caption class="hint">
          ${several ? t('rotations-layers', { layers: list(layers.map(String)) }) : nothing}
          ${t('rotations-caption', { pairs: all, shown: pairs.size, positions: shown.length })}
        </caption>
        <thead>
          <tr>
            <th scope="col">${t('rotations-pair')}</th>
            <th scope="col">${t('rotations-turn')}</th>
            <th scope="col">${t('rotations-positions')}</th>
          </tr>
        </thead>
        <tbody>
          ${[...pairs].map((pair) => {
            const turn = Math.abs((angles[1]?.[pair] ?? 0) - (angles[0]?.[pair] ?? 0));
            const takes =
              turn === 0
                ? t('rotations-no-turn')
                : t('tokens', { count: Number(((2 * Math.PI) / turn).toPrecision(2)) });
            return html`<tr>
              <th scope="row">${pair}</th>
              <td>${takes}</td>
              <td>
                ${dials(
                  shown.map((position) => position[pair] ?? 0),
                  t('rotations-dials', { pair, takes }),
                )}
              </td>
            </tr>`;
          })}
        </tbody>
      </table>
    </div>`;
  }
}

/** A clock face for each angle. */
function dials(angles: readonly number[], label: string): TemplateResult {
  const middle = SIZE / 2;
  const radius = middle - 2;
  return html`<svg
    role="img"
    aria-label=${label}
    width=${angles.length * SIZE}
    height=${SIZE}
    viewBox="0 0 ${angles.length * SIZE} ${SIZE}"
  >
    ${angles.map((angle, at) => {
      const x = at * SIZE + middle;
      const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
      return svg`<circle class="face" cx=${x} cy=${middle} r=${radius}></circle>
        <line class="hand" x1=${x} y1=${middle} x2=${x + radius * sin} y2=${middle - radius * cos}></line>`;
    })}
  </svg>`;
}

customElements.define('rotations-panel', RotationsPanel);
