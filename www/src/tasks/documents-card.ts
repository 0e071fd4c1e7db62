/** Questions about files, and search in them. */

import { html, nothing, type TemplateResult } from 'lit';
import type { Llm } from 'weft-llm';
import { copyCode } from './copy-code.js';
import { MarkdownView } from '../markdown/view.js';
import { generateSettings } from '../settings.js';
import { TaskCard } from './card.js';
import { askDocuments, passagesThatFit } from './code/ask-documents.js';
import { search } from './code/search.js';
import './embedder.js';
import { embedderOf } from './embedder.js';
import { Values } from './fields.js';
import './file-input.js';
import { library } from './file-input.js';
import { placeOf, type Passage } from './passages.js';
import { searchWords } from './words.js';
import { number, t } from '../text/text.js';

interface Found extends Passage {
  /** A cosine, or BM25. */
  score: number;
}

/** Shows passages that were found, best first. */
abstract class FilesCard extends TaskCard {
  protected found: readonly Found[] = [];

  protected question(values: Values): TemplateResult {
    return html`<file-input ?busy=${this.busy} @change=${() => this.requestUpdate()}></file-input>
      <embedder-picker .model=${this.model} @change=${() => this.requestUpdate()}></embedder-picker>
      ${values.render()}`;
  }

  protected override blocked(): string | null {
    return super.blocked() ?? (library.empty ? t('files-first') : null);
  }

  protected passages(): TemplateResult {
    return html`<ol class="passages" data-testid="passages">
      ${this.found.map(
        (passage, index) =>
          html`<li>
            <details>
              <summary>
                <span>[${index + 1}] ${placeOf(passage)}</span>
                <span class="hint"
                  >${number(passage.score, { minimumFractionDigits: 2, maximumFractionDigits: 2 })}</span
                >
              </summary>
              <p dir="auto">${passage.text}</p>
            </details>
          </li>`,
      )}
    </ol>`;
  }

  protected openPassage(number: number): void {
    const details = this.querySelector<HTMLDetailsElement>(`.passages li:nth-child(${number}) details`);
    if (!details) return;
    details.open = true;
    details.querySelector('summary')!.focus();
  }

  /** All passages, the best first: by meaning if there is a model for it, else by words. */
  protected async ranked(question: string, signal: AbortSignal): Promise<Found[]> {
    const { passages } = library;
    const embedder = embedderOf(this.model);
    const scores = embedder
      ? await search(embedder, question, await this.#vectors(embedder, signal), signal)
      : searchWords(
          question,
          passages.map(({ text }) => text),
        );
    const found = passages.map((passage, index) => ({ ...passage, score: scores[index] ?? 0 }));
    return found.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score);
  }

  async #vectors(embedder: Llm, signal: AbortSignal): Promise<Float32Array[]> {
    const all = library.passages.length;
    const vectors = await library.vectors(embedder, signal, (done) =>
      this.progress(() => t('files-vectors', { done, all })),
    );
    this.progress(null);
    return vectors;
  }
}

const askValues = new Values([
  { name: 'question', kind: 'line', value: 'Why are jeans blue outside and pale inside?' },
]);

/** Answers from the passages, and cites them. */
export class AskCard extends FilesCard {
  #answer = '';
  #isEmpty = false;
  #view: MarkdownView | undefined;
  #isLinked = false;
  #byWords = false;

  protected override get verb(): string {
    return t('task-ask');
  }

  protected override fields(): TemplateResult {
    return html`${this.question(askValues)}
    ${embedderOf(this.model) ? nothing : html`<p class="hint" data-testid="by-words">${t('files-by-words')}</p>`}`;
  }

  protected override result(): TemplateResult {
    return html`<div class="answer" data-testid="answer" @click=${this.#onClick}></div>
      ${this.#isEmpty ? html`<p data-testid="no-passage">${t('files-no-passage')}</p>` : nothing}
      ${this.found.length === 0 ? nothing : html`<h3>${t('files-read')}</h3>`} ${this.passages()}
      ${this.#byWords ? html`<p class="hint">${t('files-found-by-words')}</p>` : nothing}`;
  }

  protected override updated(): void {
    for (const button of this.querySelectorAll<HTMLElement>('.cite'))
      button.setAttribute('aria-label', t('files-passage', { number: button.dataset['passage'] ?? '' }));
    if (this.state === 'ready' || this.#isLinked) return;
    const place = this.find('.answer');
    this.#view ??= new MarkdownView(place);
    if (this.busy) return this.#view.show(this.#answer);
    this.#view.finish(this.#answer);
    linkCitations(place, this.found.length);
    this.#isLinked = true;
  }

  protected override async work(llm: Llm, signal: AbortSignal): Promise<void> {
    this.#answer = '';
    this.#isEmpty = false;
    this.#view = undefined;
    this.#isLinked = false;
    this.found = [];
    this.#byWords = embedderOf(this.model) === null;
    const question = askValues.get('question');
    const ranked = await this.ranked(question, signal);
    if (ranked.length === 0) {
      this.#isEmpty = true;
      return;
    }
    const texts = await passagesThatFit(
      llm,
      ranked.map(({ text }) => text),
    );
    this.found = ranked.slice(0, texts.length);
    for await (const { text } of askDocuments(llm, question, texts, { ...generateSettings(), signal })) {
      this.#answer += text;
      this.requestUpdate();
    }
  }

  #onClick(event: Event): void {
    copyCode(event);
    const cited = (event.target as HTMLElement).closest<HTMLElement>('.cite')?.dataset['passage'];
    if (cited) this.openPassage(Number(cited));
  }
}

/** Makes buttons of `[1]` and its like. */
function linkCitations(place: HTMLElement, passages: number): void {
  const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
  const texts: Text[] = [];
  while (walker.nextNode()) texts.push(walker.currentNode as Text);
  for (const text of texts) {
    const parts = text.data.split(/(\[\d+\])/).map((part) => {
      const number = Number(/^\[(\d+)\]$/.exec(part)?.[1]);
      if (!(number >= 1 && number <= passages)) return part;
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'cite';
      button.dataset['passage'] = String(number);
      button.textContent = part;
      button.setAttribute('aria-label', t('files-passage', { number }));
      return button;
    });
    if (parts.length > 1) text.replaceWith(...parts);
  }
}

const searchValues = new Values([
  { name: 'question', text: 'looked-for', kind: 'line', value: 'Who first controlled a machine with cards?' },
]);

/** Lists the passages that are nearest in meaning. */
export class SearchCard extends FilesCard {
  protected override get verb(): string {
    return t('search');
  }

  protected override fields(): TemplateResult {
    return this.question(searchValues);
  }

  protected override result(): TemplateResult {
    return html`${this.passages()}
    ${this.found.length === 0 && !this.busy ? html`<p class="hint">${t('files-nothing')}</p>` : nothing}`;
  }

  protected override async work(_: Llm, signal: AbortSignal): Promise<void> {
    this.found = [];
    this.found = (await this.ranked(searchValues.get('question'), signal)).slice(0, 8);
    await this.updateComplete;
    this.querySelector<HTMLDetailsElement>('.passages details')?.setAttribute('open', '');
  }
}

customElements.define('ask-card', AskCard);
customElements.define('search-card', SearchCard);
