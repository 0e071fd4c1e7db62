/** Tasks whose result is a text that grows. */

import { html, nothing, type TemplateResult } from 'lit';
import type { Finish, Generation, GenerateOptions, Llm } from 'weft-llm';
import { announce } from '../announcer.js';
import { copy } from '../chat-turn.js';
import { copyCode } from './copy-code.js';
import { MarkdownView } from '../markdown/view.js';
import { generateSettings } from '../settings.js';
import type { Row } from './example-rows.js';
import { FormCard, type FormTask } from './form-card.js';
import { t } from '../text/text.js';

export interface TextTask<Name extends string = string> extends FormTask<Name> {
  run(llm: Llm, values: Record<Name, string> & { examples: readonly Row[] }, options: GenerateOptions): Generation;
  /** The answer as Markdown, if it is something else. */
  markdown?(answer: string, values: Record<Name, string>, whole: boolean): string;
}

/** A definition whose `run` knows the names of its fields. */
export const textTask = <const Name extends string>(task: TextTask<Name>) => task as TextTask;

export class TextCard extends FormCard<TextTask> {
  #answer = '';
  #thoughts = '';
  #finish: Finish | undefined;
  #view: MarkdownView | undefined;
  /** The values that the answer belongs to. */
  #asked: Readonly<Record<string, string>> = {};

  protected override result(): TemplateResult {
    const usage = this.#finish?.usage;
    return html`${
        this.#thoughts === ''
          ? nothing
          : html`<details class="thoughts">
              <summary>${t('task-thoughts')}</summary>
              <p dir="auto">${this.#thoughts}</p>
            </details>`
      }
      <div class="answer" data-testid="answer" @click=${copyCode}></div>
      <div class="after" ?inert=${this.busy}>
        <p class="stats">
          ${
            usage
              ? `${t('stats-rate', { rate: usage.tokensPerSecond })} · ${t('stats-tokens', { tokens: usage.completionTokens })}`
              : nothing
          }
        </p>
        <button
          type="button"
          class="copy"
          aria-label=${t('task-copy')}
          @click=${(event: Event) => void copy(this.#answer, event.currentTarget as HTMLButtonElement)}
        >
          ${t('copy')}
        </button>
        ${
          this.task.samples
            ? html`<button type="button" class="copy" ?disabled=${this.#answer === ''} @click=${this.#keep}>
                ${t('rows-keep')}
              </button>`
            : nothing
        }
      </div>`;
  }

  protected override updated(): void {
    const place = this.querySelector<HTMLElement>('.answer');
    if (!place || this.state === 'ready') return;
    this.#view ??= new MarkdownView(place);
    const shown = this.task.markdown?.(this.#answer, this.#asked, !this.busy) ?? this.#answer;
    if (!this.busy) this.#view.finish(shown);
    else this.#view.show(shown);
  }

  protected override async work(llm: Llm, signal: AbortSignal): Promise<void> {
    this.#answer = this.#thoughts = '';
    this.#finish = this.#view = undefined;
    this.#asked = { ...this.values.all };
    const options = { ...generateSettings(), signal };
    const pieces = this.task.run(llm, { ...this.#asked, examples: this.rows } as never, options);
    for await (const { text, reasoning = '', endsReasoning, finish } of pieces) {
      if (endsReasoning) [this.#thoughts, this.#answer, this.#view] = [this.#answer, '', undefined];
      this.#thoughts += reasoning;
      this.#answer += text;
      if (finish) this.#finish = finish;
      this.requestUpdate();
    }
  }

  #keep(): void {
    const input = this.#asked['text'] ?? '';
    this.rows = [...this.rows, { input, output: this.#answer.trim() }];
    announce(t('rows-kept'));
  }
}

customElements.define('text-card', TextCard);
