/** The code of a task as it is in the page, shown on request. */

import { html, type PropertyDeclarations, type TemplateResult } from 'lit';
import { Component } from '../component.js';
import { copyCode } from './copy-code.js';
import { CodeView } from '../markdown/code-view.js';
import { t } from '../text/text.js';

export class SourceCode extends Component {
  static override properties: PropertyDeclarations = { code: { attribute: false } };
  declare code: string;

  protected override render(): TemplateResult {
    return html`<details class="source answer-code" @toggle=${this.#show} @click=${copyCode}>
      <summary>${t('view-source')}</summary>
      <div></div>
    </details>`;
  }

  /** Its colours are fetched when somebody looks. */
  #show(): void {
    const place = this.find('div');
    if (place.firstChild) return;
    const view = new CodeView();
    view.language = 'typescript';
    place.append(view.element);
    view.show(this.code, true);
  }
}

customElements.define('source-code', SourceCode);
