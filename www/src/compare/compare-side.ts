/** One side of a comparison: its settings, its answer, its speeds. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { Component } from '../component.js';
import { explain } from '../errors.js';
import { MarkdownView } from '../markdown/view.js';
import { settingField, type Field } from '../setting-field.js';
import { isValid, ofChat, setting } from '../settings.js';
import { unlike, type Side } from './side.js';
import type { Run } from './words.js';
import { number, t } from '../text/text.js';

const DIGIT = { minimumFractionDigits: 1, maximumFractionDigits: 1 };

export class CompareSide extends Component {
  static override properties: PropertyDeclarations = {
    side: { attribute: false },
    other: { attribute: false },
    name: { attribute: false },
    readyMs: { attribute: false },
    runs: { attribute: false },
  };
  declare side: Side;
  declare other: Side;
  /** Of the model. */
  declare name: string;
  declare readyMs: number;
  /** The answer with its differences marked; null: as it is. */
  declare runs: readonly Run[] | null;
  #view: MarkdownView | undefined;
  readonly #onSide = () => this.requestUpdate();

  override connectedCallback(): void {
    super.connectedCallback();
    for (const one of [this.side, this.other]) one.addEventListener('change', this.#onSide);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const one of [this.side, this.other]) one.removeEventListener('change', this.#onSide);
  }

  protected override render(): TemplateResult {
    const { place, values, state, error, busy } = this.side;
    const differs = unlike(values, this.other.values);
    return html`<section class="side" data-state=${state} aria-labelledby="${place}-title">
      <h2 id="${place}-title"><span class="sr-only">${t(`compare-${place}`)}: </span><bdi>${this.name}</bdi></h2>
      <details class="side-settings">
        <summary>
          ${t('settings-title')}${differs.length > 0 ? html`<span class="unlike">${differs.join(' · ')}</span>` : nothing}
        </summary>
        <div class="side-fields" @input=${this.#onInput}>
          ${ofChat.map((one) => settingField(one, setting(one.name, values), `${place}-`))}
        </div>
      </details>
      <div class="turn" data-state=${state} ?hidden=${state === 'empty'}>
        <div class="answer" data-testid="compared" aria-busy=${busy} ?hidden=${this.runs !== null}></div>
        ${this.runs ? html`<div class="answer plain" dir="auto"><p>${this.runs.map(marked)}</p></div>` : nothing}
      </div>
      ${error ? this.#error(error) : this.#speeds()}
    </section>`;
  }

  protected override updated(): void {
    const { answer, busy, state } = this.side;
    if (this.#view && !answer.startsWith(this.#view.text)) this.#view = undefined;
    this.#view ??= new MarkdownView(this.find('[data-testid=compared]'));
    if (busy) this.#view.show(answer);
    else if (state !== 'empty') this.#view.finish(answer);
  }

  #error(error: unknown): TemplateResult {
    const { title, text } = explain(error);
    return html`<p class="hint" role="alert"><strong>${title}.</strong> ${text}</p>`;
  }

  #speeds(): TemplateResult {
    const { usage } = this.side;
    const seconds = (ms: number) => t('seconds', { seconds: ms / 1000 });
    const figure = (what: string, value: string) =>
      html`<div>
        <dt>${what}</dt>
        <dd>${value}</dd>
      </div>`;
    return html`<dl class="speeds">
      ${figure(t('compare-rate'), usage ? number(usage.tokensPerSecond, DIGIT) : '–')}
      ${figure(t('compare-first'), usage ? seconds(usage.timeToFirstTokenMs) : '–')}
      ${figure(t('compare-tokens'), usage ? number(usage.completionTokens) : '–')}
      ${figure(t('compare-ready'), this.readyMs > 0 ? seconds(this.readyMs) : '–')}
    </dl>`;
  }

  #onInput(event: Event): void {
    const { name, value } = event.target as Field;
    const one = ofChat.find((one) => one.name === name);
    if (one && isValid(one, value)) this.side.set({ values: { ...this.side.values, [name]: value } });
  }
}

const marked = ({ text, differs }: Run) => (differs ? html`<mark>${text}</mark>` : text);

customElements.define('compare-side', CompareSide);
