/** The fields of a form that is to be filled: made by clicking. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { Component } from '../component.js';
import type { FormField } from './code/extract.js';
import { valueOf } from './example-rows.js';
import { listed } from './labels-card.js';
import { t } from '../text/text.js';

/** With their messages. */
const TYPES: readonly (readonly [FormField['type'], string])[] = [
  ['text', 'type-text'],
  ['number', 'type-number'],
  ['yes or no', 'type-yes-or-no'],
  ['date', 'type-date'],
  ['choice', 'type-choice'],
  ['list', 'type-list'],
];

/** Sends `fields` with the fields after a change. */
export class SchemaRows extends Component {
  static override properties: PropertyDeclarations = { fields: { attribute: false } };
  declare fields: readonly FormField[];

  protected override render(): TemplateResult {
    return html`<fieldset class="schema">
      <legend>${t('schema')}</legend>
      <ol>
        ${this.fields.map((field, index) => this.#row(field, index))}
      </ol>
      <button type="button" class="add" @click=${this.#add}>${t('schema-add')}</button>
    </fieldset>`;
  }

  #row({ name, type, options, required }: FormField, index: number): TemplateResult {
    const n = index + 1;
    const set = (change: Partial<FormField>) =>
      this.#send(this.fields.map((field, at) => (at === index ? { ...field, ...change } : field)));
    return html`<li>
      <label>
        ${t('schema-name', { number: n })}
        <input
          class="name"
          required
          autocomplete="off"
          .value=${name}
          @input=${(event: Event) => set({ name: valueOf(event) })}
        />
      </label>
      <label>
        ${t('schema-type', { number: n })}
        <select @change=${(event: Event) => set({ type: valueOf(event) as FormField['type'] })}>
          ${TYPES.map(([one, name]) => html`<option value=${one} .selected=${one === type}>${t(name)}</option>`)}
        </select>
      </label>
      ${
        type === 'choice'
          ? html`<label class="wide">
              ${t('schema-choices', { number: n })}
              <input
                required
                autocomplete="off"
                .value=${options.join(', ')}
                @change=${(event: Event) => set({ options: listed(valueOf(event)) })}
              />
            </label>`
          : nothing
      }
      <label class="check">
        <input
          type="checkbox"
          .checked=${required}
          @change=${(event: Event) => set({ required: (event.target as HTMLInputElement).checked })}
        />
        ${t('schema-required')}
      </label>
      <button type="button" aria-label=${t('schema-remove', { number: n })} @click=${() => this.#remove(index)}>
        ${t('remove')}
      </button>
    </li>`;
  }

  /** Two fields of one name would be one field. */
  protected override updated(): void {
    for (const [index, input] of this.querySelectorAll<HTMLInputElement>('.name').entries()) {
      const isTaken = this.fields.findIndex(({ name }) => name === input.value) < index;
      input.setCustomValidity(isTaken ? t('schema-taken') : '');
    }
  }

  async #add(): Promise<void> {
    this.#send([...this.fields, { name: '', type: 'text', options: [], required: true }]);
    await this.updateComplete;
    this.querySelector<HTMLElement>('li:last-child input')?.focus();
  }

  async #remove(index: number): Promise<void> {
    this.#send(this.fields.filter((_, at) => at !== index));
    await this.updateComplete;
    this.find('.add').focus();
  }

  #send(fields: readonly FormField[]): void {
    this.fields = fields;
    this.dispatchEvent(new CustomEvent('fields', { detail: fields }));
  }
}

customElements.define('schema-rows', SchemaRows);
