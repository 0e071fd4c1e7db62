/** Tasks with a form of fields, and perhaps with examples. */

import { html, nothing, type TemplateResult } from 'lit';
import { TaskCard, type TaskInfo } from './card.js';
import './example-rows.js';
import type { Row } from './example-rows.js';
import { Values, type Field } from './fields.js';

export interface FormTask<Name extends string = string> extends TaskInfo {
  fields: readonly Field<Name>[];
  /** Rows that a user may add as examples; without it, the task has none. */
  samples?: readonly Row[];
}

/** What was typed into each task; it lasts until the page is closed. */
const typed = new Map<string, { values: Values; rows: readonly Row[] }>();

export abstract class FormCard<Task extends FormTask> extends TaskCard<Task> {
  /** What the outputs of examples may be; undefined for any text. */
  protected get choices(): readonly string[] | undefined {
    return undefined;
  }

  protected get values(): Values {
    return this.#typed.values;
  }

  protected get rows(): readonly Row[] {
    return this.#typed.rows;
  }

  protected set rows(rows: readonly Row[]) {
    this.#typed.rows = rows;
    this.requestUpdate();
  }

  get #typed() {
    const { id, fields } = this.task;
    const known = typed.get(id) ?? { values: new Values(fields), rows: [] };
    typed.set(id, known);
    return known;
  }

  protected override fields(): TemplateResult {
    const { samples } = this.task;
    return html`<div class="fields" @input=${() => this.requestUpdate()}>${this.values.render()}</div>
      ${
        samples
          ? html`<example-rows
              .rows=${this.rows}
              .samples=${samples}
              .choices=${this.choices}
              @rows=${(event: CustomEvent<Row[]>) => (this.rows = event.detail)}
            ></example-rows>`
          : nothing
      }`;
  }
}
