/** Examples for few-shot prompting: rows of an input and the output that is wanted. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { Component } from '../component.js';
import { t } from '../text/text.js';

export interface Row {
  input: string;
  output: string;
}

/** Sends `rows` with the rows after a change. */
export class ExampleRows extends Component {
  static override properties: PropertyDeclarations = {
    rows: { attribute: false },
    samples: { attribute: false },
    choices: { attribute: false },
  };
  declare rows: readonly Row[];
  /** What the first added rows say. */
  declare samples: readonly Row[];
  /** The outputs that there are; without them an output is any text. */
  declare choices: readonly string[] | undefined;

  protected override render(): TemplateResult {
    return html`<details class="examples" ?open=${this.rows.length > 0}>
      <summary>${t('rows-title', { count: this.rows.length })}</summary>
      <p class="hint">${t('rows-hint')}</p>
      <ol>
        ${this.rows.map((row, index) => this.#row(row, index))}
      </ol>
      <button type="button" class="add" @click=${this.#add}>${t('rows-add')}</button>
    </details>`;
  }

  #row({ input, output }: Row, index: number): TemplateResult {
    const n = index + 1;
    const set = (event: Event, key: keyof Row) =>
      this.#send(this.rows.map((row, at) => (at === index ? { ...row, [key]: valueOf(event) } : row)));
    return html`<li>
      <label>
        ${t('rows-input', { number: n })}
        <textarea
          rows="2"
          dir="auto"
          required
          .value=${input}
          @input=${(event: Event) => set(event, 'input')}
        ></textarea>
      </label>
      <label>
        ${t('rows-output', { number: n })}
        ${
          this.choices
            ? html`<select required @change=${(event: Event) => set(event, 'output')}>
                ${this.choices.includes(output) ? nothing : html`<option value="" .selected=${true}>${t('rows-choose')}</option>`}
                ${this.choices.map(
                  (choice) => html`<option value=${choice} .selected=${choice === output}>${choice}</option>`,
                )}
              </select>`
            : html`<textarea
                rows="2"
                dir="auto"
                required
                .value=${output}
                @input=${(event: Event) => set(event, 'output')}
              ></textarea>`
        }
      </label>
      <button type="button" aria-label=${t('rows-remove', { number: n })} @click=${() => this.#remove(index)}>
        ${t('remove')}
      </button>
    </li>`;
  }

  async #add(): Promise<void> {
    this.#send([...this.rows, this.samples[this.rows.length] ?? { input: '', output: '' }]);
    await this.updateComplete;
    this.querySelector<HTMLElement>('li:last-child textarea')?.focus();
  }

  async #remove(index: number): Promise<void> {
    this.#send(this.rows.filter((_, at) => at !== index));
    await this.updateComplete;
    this.find(this.rows.length > 0 ? '.add' : 'summary').focus();
  }

  #send(rows: readonly Row[]): void {
    this.rows = rows;
    this.dispatchEvent(new CustomEvent('rows', { detail: rows }));
  }
}

export const valueOf = (event: Event) => (event.target as HTMLInputElement | HTMLTextAreaElement).value;

customElements.define('example-rows', ExampleRows);
