/** The fields of a form that is to be filled: made by clicking. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { Component } from '../component.js';
import type { FormField } from './code/extract.js';
import { valueOf } from './example-rows.js';
import { listed } from './labels-card.js';

const TYPES: readonly FormField['type'][] = ['text', 'number', 'yes or no', 'date', 'choice', 'list'];

/** Sends `fields` with the fields after a change. */
export class SchemaRows extends Component {
  static override properties: PropertyDeclarations = { fields: { attribute: false } };
  declare fields: readonly FormField[];

  protected override render(): TemplateResult {
    return html`<fieldset class="schema">
      <legend>Fields of the form</legend>
      <ol>
        ${this.fields.map((field, index) => this.#row(field, index))}
      </ol>
      <button type="button" class="add" @click=${this.#add}>Add a field</button>
    </fieldset>`;
  }

  #row({ name, type, options, required }: FormField, index: number): TemplateResult {
    const n = index + 1;
    const set = (change: Partial<FormField>) =>
      this.#send(this.fields.map((field, at) => (at === index ? { ...field, ...change } : field)));
    return html`<li>
      <label>
        Name ${n}
        <input
          class="name"
          required
          autocomplete="off"
          .value=${name}
          @input=${(event: Event) => set({ name: valueOf(event) })}
        />
      </label>
      <label>
        Type ${n}
        <select @change=${(event: Event) => set({ type: valueOf(event) as FormField['type'] })}>
          ${TYPES.map((one) => html`<option value=${one} .selected=${one === type}>${one}</option>`)}
        </select>
      </label>
      ${
        type === 'choice'
          ? html`<label class="wide">
              Choices ${n}, with commas between them
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
        Required
      </label>
      <button type="button" aria-label="Remove field ${n}" @click=${() => this.#remove(index)}>Remove</button>
    </li>`;
  }

  /** Two fields of one name would be one field. */
  protected override updated(): void {
    for (const [index, input] of this.querySelectorAll<HTMLInputElement>('.name').entries()) {
      const isTaken = this.fields.findIndex(({ name }) => name === input.value) < index;
      input.setCustomValidity(isTaken ? 'Another field has this name.' : '');
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
