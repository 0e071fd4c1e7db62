/** Tasks whose result is how well labels fit, as bars. */

import { html, type TemplateResult } from 'lit';
import type { LabelScore, Llm } from 'weft-llm';
import type { Row } from './example-rows.js';
import { FormCard, type FormTask } from './form-card.js';
import { number, t } from '../text/text.js';

export interface LabelsTask<Name extends string = string> extends FormTask<Name> {
  /** The field that lists the labels of the user; the outputs of examples are among them. */
  labels?: Name;
  run(
    llm: Llm,
    values: Record<Name, string> & { labels: readonly string[]; examples: readonly Row[] },
    signal: AbortSignal,
  ): Promise<LabelScore[]>;
}

export const labelsTask = <const Name extends string>(task: LabelsTask<Name>) => task as LabelsTask;

export class LabelsCard extends FormCard<LabelsTask> {
  #scores: readonly LabelScore[] = [];

  /** Of the user; undefined if the task has labels of its own. */
  protected override get choices(): readonly string[] | undefined {
    return this.task.labels === undefined ? undefined : listed(this.values.get(this.task.labels));
  }

  protected override blocked(): string | null {
    return this.choices && this.choices.length < 2 ? t('labels-two') : null;
  }

  protected override result(): TemplateResult {
    return html`<ul class="scores" data-testid="scores">
      ${this.#scores.map(
        ({ label, score }) =>
          html`<li>
            <bdi>${label}</bdi>
            <meter min="0" max="1" value=${score} aria-label=${label}></meter>
            <span>${number(score, { style: 'percent' })}</span>
          </li>`,
      )}
    </ul>`;
  }

  protected override async work(llm: Llm, signal: AbortSignal): Promise<void> {
    this.#scores = [];
    const values = { ...this.values.all, labels: this.choices, examples: this.rows };
    this.#scores = await this.task.run(llm, values as never, signal);
  }
}

/** What stands between commas, each once. */
export function listed(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  return [...new Set(parts.filter((part) => part !== ''))];
}

customElements.define('labels-card', LabelsCard);
