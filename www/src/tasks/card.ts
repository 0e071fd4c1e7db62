/** What all tasks have in common: a form, a button that runs and stops it, a result, its source. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { WeftError, type Llm } from 'weft-llm';
import { announce } from '../announcer.js';
import { Component } from '../component.js';
import '../error-note.js';
import type { ShownError } from '../error-note.js';
import type { Remedy } from '../errors.js';
import { embedderOf } from './embedder.js';
import { lacks, type Need } from './needs.js';
import './source-code.js';
import { t, type Said } from '../text/text.js';

export interface TaskInfo {
  /** Its title and what it does are the message `task-` with this id. */
  id: string;
  need: Need;
  /** The text of the file with its code. */
  source: string;
}

type State = 'ready' | 'working' | 'done' | 'stopped' | 'failed';

/** Sends `back`, `models` to choose another model, and `fault` with an error of the model. */
export abstract class TaskCard<Task extends TaskInfo = TaskInfo> extends Component {
  static override properties: PropertyDeclarations = { task: { attribute: false }, model: { attribute: false } };
  declare task: Task;
  declare model: Llm | null;
  protected state: State = 'ready';
  #running: AbortController | null = null;
  #error: ShownError | null = null;
  #progress: Said | null = null;

  /** The button that runs it. */
  protected get verb(): string {
    return t('task-run');
  }
  protected abstract fields(): TemplateResult;
  protected abstract result(): TemplateResult | typeof nothing;
  /** Does the task. It ends early, or rejects, when the signal aborts. */
  protected abstract work(llm: Llm, signal: AbortSignal): Promise<void>;

  /** The model that does the task. */
  protected get llm(): Llm | null {
    return this.task.need === 'embed' ? embedderOf(this.model) : this.model;
  }

  /** Why this model cannot do the task, and which could. */
  #lacks(): string | null {
    if (this.task.need === 'embed') return null; // the picker in the form says it
    if (!this.model) return t('no-model-loaded');
    return lacks(this.task.need, this.model.info);
  }

  /** What else must come first. */
  protected blocked(): string | null {
    return this.llm ? null : t('task-needs-embedder');
  }

  protected get busy(): boolean {
    return this.#running !== null;
  }

  focusTitle(): void {
    this.querySelector<HTMLElement>('h1')?.focus();
  }

  stop(): void {
    this.#running?.abort();
  }

  protected progress(text: Said | null): void {
    this.#progress = text;
    this.requestUpdate();
  }

  protected override render(): TemplateResult {
    const missing = this.#lacks();
    const blocked = missing === null ? this.blocked() : null;
    const canRun = missing === null && blocked === null;
    return html`<article class="task" data-testid="task" data-state=${this.state} aria-labelledby="task-title">
      <p class="back"><button type="button" @click=${this.#back}>${t('task-back')}</button></p>
      <h1 id="task-title" tabindex="-1">${t(`task-${this.task.id}.title`)}</h1>
      <p class="lead">${t(`task-${this.task.id}`)}</p>
      ${missing === null ? nothing : this.#missing(missing)}
      <form @submit=${this.#onSubmit} @keydown=${this.#onKey}>
        ${this.fields()}
        <div class="run">
          <button
            type="submit"
            class="primary"
            data-testid="run"
            ?formnovalidate=${this.busy}
            ?disabled=${!canRun && !this.busy}
          >
            ${this.busy ? t('stop') : this.verb}
          </button>
          <span class="hint" data-testid="progress">${this.#progress?.() ?? blocked}</span>
        </div>
      </form>
      <error-note
        .shown=${this.#error}
        @remedy=${(event: CustomEvent<Remedy>) => this.#onRemedy(event)}
        @dismiss=${this.#onDismiss}
      ></error-note>
      <section
        class="result"
        data-testid="result"
        aria-labelledby="result-title"
        aria-busy=${this.busy}
        ?hidden=${this.state === 'ready'}
      >
        <h2 id="result-title">${this.state === 'stopped' ? t('task-result-stopped') : t('task-result')}</h2>
        ${this.result()}
      </section>
      <source-code .code=${this.task.source}></source-code>
    </article>`;
  }

  #missing(text: string): TemplateResult {
    return html`<div class="missing" data-testid="missing">
      <p>${text}</p>
      <button type="button" @click=${() => this.dispatchEvent(new Event('models', { bubbles: true }))}>
        ${t('choose-model')}
      </button>
    </div>`;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener('keydown', this.#onEscape);
  }

  /** Leaving a card ends what it does. */
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener('keydown', this.#onEscape);
    this.stop();
  }

  readonly #onEscape = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && this.busy && !event.isComposing && !document.querySelector('dialog[open]'))
      this.#onStop();
  };

  #onSubmit(event: Event): void {
    event.preventDefault();
    if (this.busy) this.#onStop();
    else if (this.#lacks() === null && this.blocked() === null) void this.#run();
  }

  /** Enter is a new line in a text. */
  #onKey(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey) || this.busy) return;
    event.preventDefault();
    this.find<HTMLFormElement>('form').requestSubmit();
  }

  #onStop(): void {
    announce(t('stopping'));
    this.stop();
  }

  async #run(): Promise<void> {
    const running = new AbortController();
    this.#running = running;
    this.#error = null;
    this.#set('working');
    void this.updateComplete.then(() => this.find('.result').scrollIntoView({ block: 'nearest' }));
    try {
      const { llm } = this;
      if (!llm) throw new WeftError('DISPOSED', t('fault-no-model'));
      await this.work(llm, running.signal);
      this.#set(running.signal.aborted ? 'stopped' : 'done');
      announce(running.signal.aborted ? t('task-stopped') : t('task-complete'));
    } catch (error) {
      if (running.signal.aborted) {
        this.#set('stopped');
        announce(t('task-stopped'));
      } else {
        this.#error = { error };
        this.#set('failed');
        if (this.isConnected) this.dispatchEvent(new CustomEvent('fault', { detail: error, bubbles: true }));
      }
    } finally {
      this.#running = null;
      this.progress(null);
    }
  }

  #set(state: State): void {
    this.state = state;
    this.requestUpdate();
  }

  #onRemedy(event: CustomEvent<Remedy>): void {
    this.#error = null;
    this.requestUpdate();
    if (event.detail !== 'retry' || !this.model) return;
    event.stopPropagation();
    this.find('.run button').focus();
    void this.#run();
  }

  #onDismiss(event: Event): void {
    event.stopPropagation();
    this.#error = null;
    this.requestUpdate();
    this.find('.run button').focus();
  }

  #back(): void {
    this.dispatchEvent(new Event('back', { bubbles: true }));
  }
}
