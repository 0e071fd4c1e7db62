/** RoPE: the hands of slow and fast pairs over the positions. */

import { html, svg, type TemplateResult } from 'lit';
import type { Rotations } from 'weft-llm';
import { rotations } from './calls.js';
import { Panel } from './panel.js';
import { count } from './token-text.js';

const PAIRS = 6;
const POSITIONS = 32;
const SIZE = 26;

class RotationsPanel extends Panel<readonly Rotations[]> {
  protected override readonly call = 'rotations';
  protected override readonly heading = 'How it knows the order';
  protected override readonly says =
    'Before two tokens are compared, pairs of their numbers are turned like the hands of clocks, further for each position: so the model feels how far apart they are. ' +
    'Fast hands tell neighbours apart, slow ones tell near from far.';

  protected override ask(signal: AbortSignal): Promise<readonly Rotations[]> {
    return rotations(this.look.model, this.ids, signal);
  }

  protected override show(rotations: readonly Rotations[]): TemplateResult {
    if (rotations.length === 0)
      return html`<p>This model does not rotate: it knows positions in another way, or not at all.</p>`;
    return html`${rotations.map((one) => this.#table(one, rotations.length > 1))}`;
  }

  #table({ layers, angles }: Rotations, several: boolean): TemplateResult {
    const all = angles[0]?.length ?? 0;
    const pairs = new Set(Array.from({ length: PAIRS }, (_, at) => Math.round((at * (all - 1)) / (PAIRS - 1))));
    const shown = angles.slice(0, POSITIONS);
    return html`<div class="scroll" tabindex="0" role="group" aria-label="Rotations by pair and position">
      <table class="rotations">
        <caption class="hint">
          ${several ? `Layers ${layers.join(', ')}: ` : ''}${count(all, 'pair')} of numbers in each head; ${pairs.size}
          of them at the first ${count(shown.length, 'position')}
        </caption>
        <thead>
          <tr>
            <th scope="col">pair</th>
            <th scope="col">a full turn takes</th>
            <th scope="col">at each position</th>
          </tr>
        </thead>
        <tbody>
          ${[...pairs].map((pair) => {
            const turn = Math.abs((angles[1]?.[pair] ?? 0) - (angles[0]?.[pair] ?? 0));
            const takes = turn === 0 ? 'no turn' : count(Number(((2 * Math.PI) / turn).toPrecision(2)), 'token');
            return html`<tr>
              <th scope="row">${pair}</th>
              <td>${takes}</td>
              <td>
                ${dials(
                  shown.map((position) => position[pair] ?? 0),
                  `Pair ${pair}, a turn takes ${takes}`,
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
