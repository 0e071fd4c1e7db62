/** The fields of a form, from a list that describes them. */

import { html, nothing, type TemplateResult } from 'lit';
import { valueOf } from './example-rows.js';
import { optional, t } from '../text/text.js';

export interface Field<Name extends string = string> {
  /** Its label and hint are the message `field-` with this name, or with that of `text`. */
  name: Name;
  text?: string;
  /** `text` has several lines, `line` has one. */
  kind: 'text' | 'line' | 'choice';
  /** The ready example. */
  value: string;
  /** Of a choice. */
  options?: readonly string[];
  /** What an option is called. */
  says?: (option: string) => string;
  optional?: true;
  /** Code keeps its spaces, and is set like code. */
  code?: true;
}

/** What the fields say, by their names. */
export class Values {
  readonly #values: Record<string, string>;

  constructor(readonly fields: readonly Field[]) {
    this.#values = Object.fromEntries(fields.map(({ name, value }) => [name, value]));
  }

  get all(): Readonly<Record<string, string>> {
    return this.#values;
  }

  get(name: string): string {
    return this.#values[name] ?? '';
  }

  render(): TemplateResult[] {
    return this.fields.map((field) => {
      const id = `field-${field.name}`;
      const hint = optional(`field-${field.text ?? field.name}.hint`);
      return html`<div class="field">
        <label for=${id}>${t(`field-${field.text ?? field.name}`)}</label>
        ${this.#control(field, id, hint ? `${id}-hint` : nothing)}
        ${hint ? html`<small id="${id}-hint">${hint}</small>` : nothing}
      </div>`;
    });
  }

  #control(
    { name, kind, options = [], says = String, optional, code }: Field,
    id: string,
    described: string | typeof nothing,
  ): TemplateResult {
    const value = this.get(name);
    const onInput = (event: Event) => (this.#values[name] = valueOf(event));
    switch (kind) {
      case 'text':
        return html`<textarea
          id=${id}
          name=${name}
          class=${code ? 'mono' : nothing}
          dir=${code ? 'ltr' : 'auto'}
          rows=${Math.min(10, Math.max(3, value.split('\n').length, Math.ceil(value.length / 70)))}
          spellcheck=${code ? 'false' : 'true'}
          aria-describedby=${described}
          ?required=${!optional}
          .value=${value}
          @input=${onInput}
        ></textarea>`;
      case 'line':
        return html`<input
          id=${id}
          name=${name}
          dir="auto"
          autocomplete="off"
          aria-describedby=${described}
          ?required=${!optional}
          .value=${value}
          @input=${onInput}
        />`;
      case 'choice':
        return html`<select id=${id} name=${name} aria-describedby=${described} @change=${onInput}>
          ${options.map(
            (option) => html`<option value=${option} .selected=${option === value}>${says(option)}</option>`,
          )}
        </select>`;
    }
  }
}
