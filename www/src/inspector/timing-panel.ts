/** What the text cost: what was remembered, and time and bytes of the operations. */

import { html, type TemplateResult } from 'lit';
import type { OperationTime } from 'weft-llm';
import { formatBytes } from '../component.js';
import { timing as ask } from './calls.js';
import './line-chart.js';
import { Panel } from './panel.js';
import { strength } from './strength.js';
import { totalsOf, type Total } from './totals.js';
import { number, t } from '../text/text.js';

interface Costs {
  readonly cachedTokens: number;
  readonly timing: readonly OperationTime[];
}

class TimingPanel extends Panel<Costs> {
  protected override readonly call = 'timing';

  protected override ask(signal: AbortSignal): Promise<Costs> {
    return ask(this.look.model, this.ids, signal);
  }

  protected override cost(): string {
    return t('timing-cost');
  }

  protected override show({ cachedTokens, timing }: Costs): TemplateResult {
    const totals = totalsOf(timing);
    const most = totals[0]?.milliseconds ?? 1;
    return html`<p class="detail">
        ${t('timing-remembered', { cached: cachedTokens, tokens: this.look.tokens.length })}
      </p>
      <div class="scroll" tabindex="0" role="group" aria-label=${t('timing-table')}>
        <table class="times">
          <thead>
            <tr>
              <th scope="col">${t('timing-operation')}</th>
              <th scope="col">${t('timing-times')}</th>
              <th scope="col">${t('timing-bytes')}</th>
              <th scope="col">${t('timing-milliseconds')}</th>
            </tr>
          </thead>
          <tbody>
            ${totals.map(
              (total) =>
                html`<tr>
                  <th scope="row"><bdi>${total.operation}</bdi></th>
                  <td>${number(total.times)}</td>
                  <td>${formatBytes(total.bytes)}</td>
                  <td ${strength(total.milliseconds / most)}>
                    ${number(total.milliseconds, { minimumFractionDigits: 2, maximumFractionDigits: 2 })}
                  </td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
      <line-chart label=${t('timing-chart')} across=${t('layer')} .series=${seriesOf(timing, totals)}></line-chart>`;
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
