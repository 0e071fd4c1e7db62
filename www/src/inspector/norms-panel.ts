/** How long the row of numbers of a token grows from layer to layer. */

import { html, type TemplateResult } from 'lit';
import { norms } from './calls.js';
import './line-chart.js';
import { Panel } from './panel.js';
import { quoted } from './token-text.js';

class NormsPanel extends Panel<readonly Float32Array[]> {
  protected override readonly call = 'norms';
  protected override readonly heading = 'How much each layer adds';
  protected override readonly says =
    'A token travels through the layers as a row of numbers, the residual stream, and each layer adds to it: the line is the length of that row. ' +
    'The first token often stands far above the others, since so many heads rest on it.';

  protected override ask(signal: AbortSignal): Promise<readonly Float32Array[]> {
    return norms(this.look.model, this.ids, signal);
  }

  protected override show(rows: readonly Float32Array[]): TemplateResult {
    const at = (index: number) => rows.map((row) => row[index] ?? 0);
    const query = this.shownToken;
    const shown = [...new Set([query, 0])];
    return html`<line-chart
      label="Length of the residual stream after each layer"
      across="layer"
      .series=${shown.map((index) => ({
        label: `${quoted(this.look.tokens[index] ?? { text: '' })} (${index + 1})`,
        values: at(index),
      }))}
    ></line-chart>`;
  }
}

customElements.define('norms-panel', NormsPanel);
