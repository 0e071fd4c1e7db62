/** How long the row of numbers of a token grows from layer to layer. */

import { html, type TemplateResult } from 'lit';
import { norms } from './calls.js';
import './line-chart.js';
import { Panel } from './panel.js';
import { quoted } from './token-text.js';
import { t } from '../text/text.js';

class NormsPanel extends Panel<readonly Float32Array[]> {
  protected override readonly call = 'norms';

  protected override ask(signal: AbortSignal): Promise<readonly Float32Array[]> {
    return norms(this.look.model, this.ids, signal);
  }

  protected override show(rows: readonly Float32Array[]): TemplateResult {
    const at = (index: number) => rows.map((row) => row[index] ?? 0);
    const query = this.shownToken;
    const shown = [...new Set([query, 0])];
    return html`<line-chart
      label=${t('norms-chart')}
      across=${t('layer')}
      .series=${shown.map((index) => ({
        label: t('token-at', { token: quoted(this.look.tokens[index] ?? { text: '' }), place: index + 1 }),
        values: at(index),
      }))}
    ></line-chart>`;
  }
}

customElements.define('norms-panel', NormsPanel);
