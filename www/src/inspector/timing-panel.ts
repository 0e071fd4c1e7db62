/** What the text cost: what was remembered, and time and bytes of the operations. */

import { html, type TemplateResult } from 'lit';
import type { OperationTime } from 'weft-llm';
import { formatBytes } from '../component.js';
import { timing as ask } from './calls.js';
import './line-chart.js';
import { Panel } from './panel.js';
import { count } from './token-text.js';
import { strength } from './strength.js';
import { totalsOf, type Total } from './totals.js';

interface Costs {
  readonly cachedTokens: number;
  readonly timing: readonly OperationTime[];
}

class TimingPanel extends Panel<Costs> {
  protected override readonly call = 'timing';
  protected override readonly heading = 'What it costs';
  protected override readonly says =
    'To read a token the model goes through nearly all of its weights once, so the time is mostly that of fetching bytes. ' +
    'Tokens that it has read before need not be computed again: their keys and values are remembered.';

  protected override ask(signal: AbortSignal): Promise<Costs> {
    return ask(this.look.model, this.ids, signal);
  }

  protected override cost(): string {
    return 'The engine waits after each operation, so this is slower than usual.';
  }

  protected override show({ cachedTokens, timing }: Costs): TemplateResult {
    const totals = totalsOf(timing);
    const most = totals[0]?.milliseconds ?? 1;
    return html`<p class="detail">
        ${cachedTokens} of ${count(this.look.tokens.length, 'token')} ${cachedTokens === 1 ? 'is' : 'are'} remembered;
        the times are those of reading all.
      </p>
      <div class="scroll" tabindex="0" role="group" aria-label="Operations by time">
        <table class="times">
          <thead>
            <tr>
              <th scope="col">operation</th>
              <th scope="col">times</th>
              <th scope="col">bytes</th>
              <th scope="col">milliseconds</th>
            </tr>
          </thead>
          <tbody>
            ${totals.map(
              (total) =>
                html`<tr>
                  <th scope="row">${total.operation}</th>
                  <td>${total.times}</td>
                  <td>${formatBytes(total.bytes)}</td>
                  <td ${strength(total.milliseconds / most)}>${total.milliseconds.toFixed(2)}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
      <line-chart
        label="Milliseconds of each operation in each layer"
        across="layer"
        .series=${seriesOf(timing, totals)}
      ></line-chart>`;
  }
}

/** The operations of layers, as lines over the layers. */
function seriesOf(times: readonly OperationTime[], totals: readonly Total[]) {
  const layers = Math.max(-1, ...times.map(({ layer }) => layer ?? -1)) + 1;
  const series = totals.map(({ operation }) => ({ label: operation, values: Array<number>(layers).fill(0) }));
  const byName = new Map(series.map((one) => [one.label, one]));
  for (const { operation, layer, milliseconds } of times)
    if (layer !== null) byName.get(operation)!.values[layer]! += milliseconds;
  return series.filter(({ values }) => values.some((value) => value > 0));
}

customElements.define('timing-panel', TimingPanel);
