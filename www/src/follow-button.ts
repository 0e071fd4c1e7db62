/** Keeps the end of the conversation in sight, with a button that leads there. */

import { html, type PropertyDeclarations, type TemplateResult } from 'lit';
import { Component } from './component.js';
import { Follower } from './follow.js';
import { t } from './text/text.js';

export class FollowButton extends Component {
  static override properties: PropertyDeclarations = { active: { type: Boolean } };
  /** Whether the conversation is shown now. */
  declare active: boolean;
  #atEnd = true;
  #follower: Follower | undefined;

  /** `content` grows within `scroller`. */
  follow(scroller: HTMLElement, content: Element): void {
    const isShown = () => this.active;
    this.#follower = new Follower(scroller, content, isShown, (atEnd) => {
      if (this.#atEnd === atEnd) return;
      this.#atEnd = atEnd;
      this.requestUpdate();
    });
  }

  /** Goes to the end, and stays there while the conversation grows. */
  toEnd(): void {
    this.#follower?.follow();
  }

  /** Stays where the reader is, whatever becomes of the end. */
  stay(): void {
    this.#follower?.stay();
  }

  protected override render(): TemplateResult {
    return html`<button type="button" id="to-end" ?hidden=${this.#atEnd} @click=${this.toEnd}>
      ${t('latest')} <span aria-hidden="true">↓</span>
    </button>`;
  }
}

customElements.define('follow-button', FollowButton);
