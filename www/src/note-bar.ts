/** A sentence above the composer, and what can be done about it. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { Component } from './component.js';
import { t, type Said } from './text/text.js';

export interface Note {
  text: Said;
  action?: { label: Said; run: () => void };
}

/** Sends `dismiss`, before the note's action too. */
export class NoteBar extends Component {
  static override properties: PropertyDeclarations = { note: { attribute: false } };
  declare note: Note | null;

  constructor() {
    super();
    this.note = null;
  }

  protected override render(): TemplateResult | typeof nothing {
    if (!this.note) return nothing;
    const { text, action } = this.note;
    return html`<div class="note" data-testid="note" role="status">
      <p>${text()}</p>
      ${
        action
          ? html`<button type="button" id="note-action" @click=${() => this.#run(action.run)}>
              ${action.label()}
            </button>`
          : nothing
      }
      <button type="button" class="dismiss" aria-label=${t('note-dismiss')} @click=${this.#dismiss}>×</button>
    </div>`;
  }

  #run(action: () => void): void {
    this.#dismiss();
    action();
  }

  #dismiss(): void {
    this.dispatchEvent(new Event('dismiss'));
  }
}

customElements.define('note-bar', NoteBar);
