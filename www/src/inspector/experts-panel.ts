/** Which experts the routers of a mixture chose for a token. */

import { html, type TemplateResult } from 'lit';
import type { ExpertLayer } from 'weft-llm';
import { experts } from './calls.js';
import { Panel } from './panel.js';
import { percent, quoted } from './token-text.js';
import { strength } from './strength.js';
import { t } from '../text/text.js';

class ExpertsPanel extends Panel<readonly ExpertLayer[]> {
  protected override readonly call = 'experts';

  protected override ask(signal: AbortSignal): Promise<readonly ExpertLayer[]> {
    return experts(this.look.model, this.ids, signal);
  }

  protected override show(layers: readonly ExpertLayer[]): TemplateResult {
    if (layers.length === 0) return html`<p>${t('experts-none')}</p>`;
    const query = this.shownToken;
    return html`<p class="detail">${t('experts-for', { token: quoted(this.look.tokens[query] ?? { text: '' }) })}</p>
      <div class="scroll" tabindex="0" role="group" aria-label=${t('experts-table')}>
        <table class="experts">
          <thead>
            <tr>
              <th scope="col">${t('layer')}</th>
              <th scope="col">${t('experts-shares')}</th>
            </tr>
          </thead>
          <tbody>
            ${layers.map(
              ({ layer, tokens }) =>
                html`<tr>
                  <th scope="row">${layer}</th>
                  <td>
                    ${(tokens[query] ?? []).map(
                      ({ expert, weight }) =>
                        html`<span class="expert" ${strength(weight)}
                          >${expert} <small>${percent(weight)}</small></span
                        >`,
                    )}
                  </td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`;
  }
}

customElements.define('experts-panel', ExpertsPanel);
