/** The whole of an answer. */

import type { Split } from './thoughts.js';

/** Joins the text and the reasoning of an answer from its pieces. */
export class Told {
  text = '';
  reasoning = '';

  add({ text, reasoning = '', endsReasoning }: Pick<Split, 'text' | 'endsReasoning'> & { reasoning?: string }): this {
    this.reasoning = endsReasoning ? `${this.text}${reasoning}`.trim() : this.reasoning + reasoning;
    this.text = endsReasoning ? text : this.text + text;
    return this;
  }
}
