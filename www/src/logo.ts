/** The mark of weft: two threads through a warp. */

import { html } from 'lit';

export const logo = html`<svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
  <path class="warp" d="M9 2v28M23 2v28" />
  <path class="thread" d="M2 9h3m8 0h17M2 23h17m8 0h3" />
</svg>`;
