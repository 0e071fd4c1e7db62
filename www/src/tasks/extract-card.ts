/** Fills in a form from a text. */

import { html, nothing, type TemplateResult } from 'lit';
import type { Finish, Llm } from 'weft-llm';
import { announce } from '../announcer.js';
import { copyCode } from './copy-code.js';
import { CodeView } from '../markdown/code-view.js';
import { generateSettings } from '../settings.js';
import { TaskCard } from './card.js';
import { extract, type FormField } from './code/extract.js';
import './example-rows.js';
import type { Row } from './example-rows.js';
import { Values } from './fields.js';
import './schema-rows.js';
import { t } from '../text/text.js';

const TEXT =
  'Hello, this is Ada Byron. I would like to book a table for six on 14 March 2027. Two of us are vegetarian, and one cannot eat nuts. Indoors, please.';

const values = new Values([{ name: 'text', kind: 'text', value: TEXT }]);

/** What was made of the form lasts until the page is closed. */
let fields: readonly FormField[] = [
  { name: 'name', type: 'text', options: [], required: true },
  { name: 'guests', type: 'number', options: [], required: true },
  { name: 'date', type: 'date', options: [], required: true },
  { name: 'place', type: 'choice', options: ['indoors', 'outdoors'], required: true },
  { name: 'diets', type: 'list', options: [], required: false },
];
let rows: readonly Row[] = [];

const SAMPLES: readonly Row[] = [
  {
    input: 'Table for two outside on 1 May 2026, name of Grace Hopper.',
    output: '{"name": "Grace Hopper", "guests": 2, "date": "2026-05-01", "place": "outdoors", "diets": []}',
  },
];

export class ExtractCard extends TaskCard {
  #text = '';
  #finish: Finish | undefined;
  #view: CodeView | undefined;
  /** The fields that the answer belongs to, with their values. */
  #filled: readonly (readonly [FormField, unknown])[] = [];
  #asked = '';

  protected override get verb(): string {
    return t('extract-run');
  }

  protected override blocked(): string | null {
    return fields.length === 0 ? t('extract-no-field') : null;
  }

  protected override fields(): TemplateResult {
    return html`${values.render()}
      <schema-rows
        .fields=${fields}
        @fields=${(event: CustomEvent<FormField[]>) => {
          fields = event.detail;
          this.requestUpdate();
        }}
      ></schema-rows>
      <example-rows
        .rows=${rows}
        .samples=${SAMPLES}
        @rows=${(event: CustomEvent<Row[]>) => this.#setRows(event.detail)}
      ></example-rows>`;
  }

  #setRows(changed: readonly Row[]): void {
    rows = changed;
    this.requestUpdate();
  }

  protected override result(): TemplateResult {
    const cut = this.#finish?.fits === false;
    return html`${cut ? html`<p class="hint">${t('extract-cut')}</p>` : nothing}
      <dl class="filled" data-testid="filled">
        ${this.#filled.map(
          ([{ name }, value]) =>
            html`<dt>${name}</dt>
              <dd>${shown(value)}</dd>`,
        )}
      </dl>
      <h3>JSON</h3>
      <div class="json" data-testid="json" @click=${copyCode}></div>
      <div class="after" ?inert=${this.busy}>
        <button type="button" class="copy" ?disabled=${this.#filled.length === 0} @click=${this.#keep}>
          ${t('rows-keep')}
        </button>
      </div>`;
  }

  protected override updated(): void {
    if (this.state === 'ready') return;
    if (!this.#view) {
      this.#view = new CodeView();
      this.#view.language = 'json';
      this.find('.json').replaceChildren(this.#view.element);
    }
    this.#view.show(this.#text, !this.busy);
  }

  protected override async work(llm: Llm, signal: AbortSignal): Promise<void> {
    this.#text = '';
    this.#finish = this.#view = undefined;
    this.#filled = [];
    this.#asked = values.get('text');
    const asked = fields;
    const options = { ...generateSettings(), signal };
    for await (const { text, finish } of extract(llm, { text: this.#asked, fields, examples: rows }, options)) {
      this.#text += text;
      if (finish) this.#finish = finish;
      this.requestUpdate();
    }
    if (!this.#finish?.fits) return;
    const json = JSON.parse(this.#text) as Record<string, unknown>;
    this.#filled = asked.map((field) => [field, json[field.name]]);
  }

  #keep(): void {
    this.#setRows([...rows, { input: this.#asked, output: this.#text }]);
    announce(t('rows-kept'));
  }
}

/** A value as people write it. */
function shown(value: unknown): TemplateResult | string {
  if (value === undefined) return html`<span class="hint">${t('extract-not-filled')}</span>`;
  if (typeof value === 'boolean') return value ? t('yes') : t('no');
  if (!Array.isArray(value)) return String(value);
  if (value.length === 0) return html`<span class="hint">${t('none')}</span>`;
  return html`<ul>
    ${value.map((part) => html`<li>${part}</li>`)}
  </ul>`;
}

customElements.define('extract-card', ExtractCard);
