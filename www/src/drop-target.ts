/** Takes files and folders that are dropped anywhere on the page. */

import { html, type TemplateResult } from 'lit';
import { Component } from './component.js';
import { acceptDrops } from './drops.js';
import { t } from './text/text.js';

/** Sends `model` with a ModelSource, and `pictures` with files. */
class DropTarget extends Component {
  #isOver = false;

  protected override render(): TemplateResult {
    return html`<div id="drop" ?hidden=${!this.#isOver}><p>${t('drop')}</p></div>`;
  }

  protected override firstUpdated(): void {
    acceptDrops({
      onModel: (detail) => this.dispatchEvent(new CustomEvent('model', { detail })),
      onPictures: (detail) => this.dispatchEvent(new CustomEvent('pictures', { detail })),
      onHover: (over) => {
        this.#isOver = over;
        this.requestUpdate();
      },
    });
  }
}

customElements.define('drop-target', DropTarget);
