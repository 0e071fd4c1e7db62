/**
 * One short line under the composer: model, engine, how full the context is. The rest on request.
 */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import type { EngineInfo, Llm, ModelSource } from 'weft-llm';
import { Component, formatBytes, weightsOf } from './component.js';
import type { ContextUse } from './turn.js';
import { plainNote } from './errors.js';
import { modelName } from './names.js';
import { number, rich, t } from './text/text.js';

/** From here on, the next long answer may not fit. */
const NEARLY_FULL = 0.8;

export class StatusLine extends Component {
  static override properties: PropertyDeclarations = {
    model: { attribute: false },
    source: { attribute: false },
    context: { attribute: false },
  };
  declare model: Llm | null;
  declare source: ModelSource;
  declare context: ContextUse | null;

  constructor() {
    super();
    this.model = this.context = null;
  }

  protected override render(): TemplateResult {
    if (!this.model) return html`<p id="engine" data-testid="engine">${t('no-model-loaded')}</p>`;
    const { info } = this.model;
    const { engine, download } = info;
    const { kind, description } = engine;
    const name = modelName(this.source, info);
    return html`
      ${this.#warning()}
      <div class="status">
        <button type="button" id="engine" data-testid="engine" popovertarget="engine-details">
          <span class="ellipsis"><bdi>${name}</bdi> · ${kind.toUpperCase()}</span> ${this.#meter()}
        </button>
      </div>
      <div id="engine-details" data-testid="engine-details" popover aria-label=${t('engine-details')}>
        <dl>
          <dt>${t('model')}</dt>
          <dd>
            ${rich('engine-model', {
              name: html`<bdi>${info.name}</bdi>`,
              quantization: info.quantization,
              weights: weightsOf(info.parameters),
            })}
          </dd>
          <dt>${t('engine')}</dt>
          <dd>${t('engine-on', { kind: kind.toUpperCase(), description, memory: memory(engine) })}</dd>
          <dt>${t('engine-reason')}</dt>
          <dd dir="auto">${engine.reason}</dd>
          ${
            this.context
              ? html`<dt>${t('context')}</dt>
                  <dd>${t('context-used', { tokens: this.context.tokens, of: this.context.of })}</dd>`
              : nothing
          }
          ${
            download.notes.length > 0
              ? html`<dt>${t('storage')}</dt>
                  <dd>
                    ${download.notes.map(
                      (note) =>
                        html`<p>${plainNote(note)}</p>
                          <p class="hint" dir="auto">${note}</p>`,
                    )}
                  </dd>`
              : nothing
          }
        </dl>
        <button type="button" popovertarget="engine-details" popovertargetaction="hide">${t('close')}</button>
      </div>
    `;
  }

  #meter(): TemplateResult | typeof nothing {
    if (!this.context) return nothing;
    const { tokens, of } = this.context;
    const full = number(Math.min(tokens, of) / of, { style: 'percent' });
    return html`<span class="context"
      ><meter
        min="0"
        max=${of}
        high=${NEARLY_FULL * of}
        optimum="0"
        value=${tokens}
        aria-label=${t('context-meter')}
      ></meter>
      ${full}</span
    >`;
  }

  #warning(): TemplateResult | typeof nothing {
    if (!this.context) return nothing;
    const { tokens, of, left } = this.context;
    const says = left > 0 ? t('context-was-full') : tokens > NEARLY_FULL * of ? t('context-nearly-full') : '';
    return says === '' ? nothing : html`<p class="hint" id="context-note" role="status">${says}</p>`;
  }
}

/** The CPU engine's memory is inside the module's; a GPU's comes on top. */
function memory({ kind, memoryBytes, wasmMemoryBytes }: EngineInfo): string {
  return formatBytes(kind === 'gpu' ? memoryBytes + wasmMemoryBytes : Math.max(memoryBytes, wasmMemoryBytes));
}

customElements.define('status-line', StatusLine);
