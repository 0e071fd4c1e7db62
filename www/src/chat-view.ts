/** The conversation as a page of turns, or a welcome with examples before the first one. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import type { Llm } from 'weft-llm';
import { repeat } from 'lit/directives/repeat.js';
import './chat-turn.js';
import { Component } from './component.js';
import type { Conversation } from './conversation.js';
import './inspector/live-panel.js';
import type { Turn } from './turn.js';
import { t } from './text/text.js';

const EXAMPLES = [
  'What is the capital of Germany?',
  'Explain weaving to a child in three sentences.',
  'Write a Python function that reverses a string.',
];

/** Sends `ask` with an example, `tasks` and `compare`; turns send what is wanted of them. */
export class ChatView extends Component {
  static override properties: PropertyDeclarations = {
    conversation: { attribute: false },
    turns: { attribute: false },
    busy: { type: Boolean },
    model: { attribute: false },
  };
  declare conversation: Conversation;
  declare turns: readonly Turn[];
  declare busy: boolean;
  declare model: Llm | null;

  get hasModel(): boolean {
    return this.model !== null;
  }

  protected override render(): TemplateResult {
    return html`<section id="chat" aria-label=${t('conversation')}>
      <h1 class="sr-only">${t('nav-chat')}</h1>
      ${this.turns.length === 0 ? this.#welcome() : nothing}
      <div id="turns">
        ${repeat(
          this.turns,
          (_, index) => `${this.conversation.id} ${index}`,
          (turn, index) =>
            html`<chat-turn
              .turn=${turn}
              .version=${this.conversation.versionOf(turn)}
              ?last=${index === this.turns.length - 1}
              ?busy=${this.busy}
              ?hasModel=${this.hasModel}
            ></chat-turn>`,
        )}
      </div>
      <live-panel .model=${this.model} ?busy=${this.busy} ?empty=${this.turns.length === 0}></live-panel>
    </section>`;
  }

  #welcome(): TemplateResult {
    return html`<div id="welcome">
      <p class="lead">${this.hasModel ? t('chat-ready') : t('chat-no-model')}</p>
      <ul aria-label=${t('examples')}>
        ${EXAMPLES.map(
          (example) =>
            html`<li>
              <button type="button" class="example" lang="en" dir="auto" @click=${() => this.#ask(example)}>
                ${example}
              </button>
            </li>`,
        )}
      </ul>
      <p class="to-tasks">
        <button type="button" id="welcome-tasks" @click=${() => this.dispatchEvent(new Event('tasks'))}>
          ${t('chat-tasks')}
        </button>
      </p>
      ${
        this.hasModel
          ? html`<p class="other">
              <button type="button" class="link" data-testid="compare" @click=${this.#compare}>
                ${t('chat-compare')}
              </button>
            </p>`
          : nothing
      }
    </div>`;
  }

  #compare(): void {
    this.dispatchEvent(new Event('compare'));
  }

  #ask(example: string): void {
    this.dispatchEvent(new CustomEvent('ask', { detail: example }));
  }
}

customElements.define('chat-view', ChatView);
