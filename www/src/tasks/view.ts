/** The view of tasks: a list of them, or the card of one. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import type { Llm } from 'weft-llm';
import { Component } from '../component.js';
import type { TaskCard, TaskInfo } from './card.js';
import { embedderOf } from './embedder.js';
import { card, groups, taskOf } from './list.js';
import { lacks } from './needs.js';
import './tasks.css';
import english from '../text/en/tasks.ftl?raw';
import { addEnglish, t } from '../text/text.js';

addEnglish(english);

/**
 * Sends `task` with the id of a task to open, or null for the list; `models`, `fault`, `remedy` of
 * a card.
 */
export class TasksView extends Component {
  static override properties: PropertyDeclarations = { task: { attribute: false }, model: { attribute: false } };
  /** The id of the task that is shown; null shows all. */
  declare task: string | null;
  declare model: Llm | null;
  #last: string | null = null;

  constructor() {
    super();
    this.task = null;
    this.model = null;
  }

  /** Shows a task or the list, and puts the focus where it begins. */
  async open(task: string | null): Promise<void> {
    this.task = task !== null && taskOf(task) ? task : null;
    await this.updateComplete;
    const shown = this.querySelector<TaskCard>('.card > *');
    await shown?.updateComplete;
    if (shown) shown.focusTitle();
    // From a card back to where it was opened.
    else this.querySelector<HTMLElement>(this.#last === null ? 'h1' : `#task-${this.#last}`)?.focus();
    this.#last = this.task;
  }

  /** Ends what runs; the view is left. */
  leave(): void {
    this.querySelector<TaskCard>('.card > *')?.stop();
  }

  protected override render(): TemplateResult {
    const task = this.task === null ? undefined : taskOf(this.task);
    if (task)
      return html`<div class="tasks card" @back=${() => this.#send(null)}>
        ${keyed(task.id, card(task, this.model))}
      </div>`;
    return html`<section class="tasks" aria-labelledby="tasks-title">
      <h1 id="tasks-title" tabindex="-1">${t('nav-tasks')}</h1>
      <p class="lead">${t('tasks-lead')}</p>
      ${groups.map(
        ({ name, tasks }) =>
          html`<h2>${t(`tasks-${name}`)}</h2>
            <ul class="tiles">
              ${tasks.map((one) => this.#tile(one))}
            </ul>`,
      )}
    </section>`;
  }

  #tile({ id, need }: TaskInfo): TemplateResult {
    return html`<li>
      <button type="button" class="tile" id="task-${id}" @click=${() => this.#send(id)}>
        <span class="name">${t(`task-${id}.title`)}</span>
        <span class="hint">${t(`task-${id}`)}</span>
        ${this.#can(need) ? nothing : html`<span class="need">${t(`need-${need}`)}</span>`}
      </button>
    </li>`;
  }

  #can(need: TaskInfo['need']): boolean {
    if (need === 'embed') return embedderOf(this.model) !== null;
    return this.model === null || lacks(need, this.model.info) === null;
  }

  #send(task: string | null): void {
    this.dispatchEvent(new CustomEvent('task', { detail: task }));
  }
}

customElements.define('tasks-view', TasksView);
