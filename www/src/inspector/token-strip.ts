/** A text as its tokens. Arrow keys go from one to the next. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import type { InspectedToken } from 'weft-llm';
import { Component } from '../component.js';
import { indexOf, rove } from './roving.js';
import { directionOf, visible } from './token-text.js';
import { strength } from './strength.js';

/** Sends `choose` with the index of a token, and `peek` with that under the pointer, or null. */
export class TokenStrip extends Component {
  static override properties: PropertyDeclarations = {
    tokens: { attribute: false },
    selected: { type: Number },
    weights: { attribute: false },
    label: {},
    describedBy: {},
  };
  declare tokens: readonly InspectedToken[];
  declare selected: number;
  /** From 0 to 1 for each token, as strength of colour and length of a bar; null: no weights. */
  declare weights: ArrayLike<number> | null;
  declare label: string;
  declare describedBy: string;

  constructor() {
    super();
    this.weights = null;
  }

  protected override render(): TemplateResult {
    return html`<div
      class="tokens ${this.weights ? 'weighted' : ''}"
      role="listbox"
      aria-orientation="horizontal"
      aria-label=${this.label}
      dir=${directionOf(this.tokens)}
      @keydown=${(event: KeyboardEvent) => rove(event)}
      @focusin=${this.#choose}
      @click=${this.#choose}
      @pointermove=${this.#peek}
      @pointerleave=${() => this.#send('peek', null)}
    >
      ${this.tokens.map(this.#token)}
    </div>`;
  }

  readonly #token = (token: InspectedToken, index: number) => {
    const chosen = index === this.selected;
    return html`<span
      class="token hue-${index % 4} ${token.special ? 'special' : ''}"
      role="option"
      aria-selected=${chosen}
      aria-describedby=${chosen ? this.describedBy : nothing}
      tabindex=${chosen ? 0 : -1}
      data-index=${index}
      ${strength(this.weights?.[index] ?? 0)}
      ><bdi>${visible(token)}</bdi></span
    >`;
  };

  #choose(event: Event): void {
    const index = indexOf(event);
    if (index !== null && index !== this.selected) this.#send('choose', index);
  }

  #peek(event: PointerEvent): void {
    if (event.pointerType === 'mouse') this.#send('peek', indexOf(event));
  }

  #send(type: string, index: number | null): void {
    this.dispatchEvent(new CustomEvent(type, { detail: index, bubbles: true }));
  }
}

customElements.define('token-strip', TokenStrip);
