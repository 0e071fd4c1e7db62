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
              <summary>What the model thought</summary>
              <p>${this.#thoughts}</p>
            </details>`
      }
      <div class="answer" data-testid="answer" @click=${copyCode}></div>
      <div class="after" ?inert=${this.busy}>
        <p class="stats">
          ${usage ? `${usage.tokensPerSecond.toFixed(1)} tokens/s · ${usage.completionTokens} tokens` : nothing}
        </p>
        <button
          type="button"
          class="copy"
          aria-label="Copy the result"
          @click=${(event: Event) => void copy(this.#answer, event.currentTarget as HTMLButtonElement)}
        >
          Copy
        </button>
        ${
          this.task.samples
            ? html`<button type="button" class="copy" ?disabled=${this.#answer === ''} @click=${this.#keep}>
                Keep as an example
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
    announce('Kept as an example.');
  }
}

customElements.define('text-card', TextCard);
