/**
 * One short line under the composer: model, engine, how full the context is. The rest on request.
 */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import type { EngineInfo, Llm, ModelSource } from 'weft-llm';
import { Component, formatBytes } from './component.js';
import type { ContextUse } from './turn.js';
import { plainNote } from './errors.js';
import { modelName } from './names.js';

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
    if (!this.model) return html`<p id="engine" data-testid="engine">No model is loaded.</p>`;
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
      <div id="engine-details" data-testid="engine-details" popover aria-label="The model and its engine">
        <dl>
          <dt>Model</dt>
          <dd><bdi>${info.name}</bdi>, ${info.quantization}, ${(info.parameters / 1e6).toFixed(0)} million weights</dd>
          <dt>Engine</dt>
          <dd>on the ${kind.toUpperCase()} (${description}) · ${memory(engine)}</dd>
          <dt>Why this engine</dt>
          <dd>${engine.reason}</dd>
          ${
            this.context
              ? html`<dt>Context</dt>
                  <dd>${this.context.tokens} of ${this.context.of} tokens</dd>`
              : nothing
          }
          ${
            download.notes.length > 0
              ? html`<dt>Storage</dt>
                  <dd>
                    ${download.notes.map(
                      (note) =>
                        html`<p>${plainNote(note)}</p>
                          <p class="hint">${note}</p>`,
                    )}
                  </dd>`
              : nothing
          }
        </dl>
        <button type="button" popovertarget="engine-details" popovertargetaction="hide">Close</button>
      </div>
    `;
  }

  #meter(): TemplateResult | typeof nothing {
    if (!this.context) return nothing;
    const { tokens, of } = this.context;
    const full = `${Math.round((100 * Math.min(tokens, of)) / of)} %`;
    return html`<span class="context"
      ><meter min="0" max=${of} high=${NEARLY_FULL * of} optimum="0" value=${tokens} aria-label="Context used"></meter>
      ${full}</span
    >`;
  }

  #warning(): TemplateResult | typeof nothing {
    if (!this.context) return nothing;
    const { tokens, of, left } = this.context;
    const says =
      left > 0
        ? 'The context was full: the model no longer sees the oldest messages.'
        : tokens > NEARLY_FULL * of
          ? 'The context is nearly full. The model will soon forget the oldest messages.'
          : '';
    return says === '' ? nothing : html`<p class="hint" id="context-note" role="status">${says}</p>`;
  }
}

/** The CPU engine's memory is inside the module's; a GPU's comes on top. */
function memory({ kind, memoryBytes, wasmMemoryBytes }: EngineInfo): string {
  return formatBytes(kind === 'gpu' ? memoryBytes + wasmMemoryBytes : Math.max(memoryBytes, wasmMemoryBytes));
}

customElements.define('status-line', StatusLine);
