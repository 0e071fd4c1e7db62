/** An error in plain words, with buttons that mend it. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { Component } from './component.js';
import { details, explain, type Explanation, type Remedy } from './errors.js';
import { t } from './text/text.js';

export interface ShownError {
  error: unknown;
  /** The model was requested from this page's server. */
  fromHere?: boolean;
  /** Says more than the error's code does. */
  explanation?: () => Explanation;
}

/** Sends `remedy` with the chosen {@link Remedy}, and `dismiss`. */
export class ErrorNote extends Component {
  static override properties: PropertyDeclarations = { shown: { attribute: false } };
  declare shown: ShownError | null;

  constructor() {
    super();
    this.shown = null;
  }

  protected override render(): TemplateResult | typeof nothing {
    if (!this.shown) return nothing;
    const { error, fromHere, explanation = () => explain(error, fromHere) } = this.shown;
    const { title, text, remedies } = explanation();
    return html`<div class="error" role="alert" data-testid="error">
      <h2>${title}</h2>
      <p>${text}</p>
      ${
        remedies.length > 0
          ? html`<div class="remedies">
              ${remedies.map(
                (remedy) =>
                  html`<button type="button" @click=${() => this.#mend(remedy)}>${t(`remedy-${remedy}`)}</button>`,
              )}
            </div>`
          : nothing
      }
      <details>
        <summary>${t('error-details')}</summary>
        <p class="message">${details(error)}</p>
      </details>
      <button type="button" class="dismiss" aria-label=${t('error-dismiss')} @click=${this.#dismiss}>×</button>
    </div>`;
  }

  #mend(remedy: Remedy): void {
    this.dispatchEvent(new CustomEvent('remedy', { detail: remedy, bubbles: true }));
  }

  #dismiss(): void {
    this.dispatchEvent(new Event('dismiss', { bubbles: true }));
  }
}

customElements.define('error-note', ErrorNote);
