/** The text of an answer, as it comes → content and calls, as OpenAI's servers tell them apart. */

import type { ToolDescription } from '../types/index.js';
import type { CallRules } from './options.js';
import { CallReader, knownTools, type Part } from './reader.js';

export type { Part } from './reader.js';

export class ToolParser {
  readonly #reader: CallReader;
  readonly #most: number;
  #calls = 0;
  /** White space of which it is not known yet whether it is only there to set calls apart. */
  #space = '';
  /** Whether text was told since the last call. */
  #inText = false;

  /** `tools`: what may be called; of a name alone no schema is known. */
  constructor(tools: readonly (string | ToolDescription)[], { most = Infinity, mixed = true }: CallRules = {}) {
    this.#reader = new CallReader(knownTools(tools), mixed);
    this.#most = most;
  }

  /** Whether there may be no more calls, and thus no more of the answer. */
  get done(): boolean {
    return this.#calls >= this.#most;
  }

  push(text: string): Part[] {
    return this.#told(this.#reader.push(text));
  }

  /** What is left at the end of the answer. */
  end(): Part[] {
    const parts = this.#told(this.#reader.end());
    if (this.#calls > 0 || this.#space === '') return parts;
    return [...parts, { type: 'text', text: this.#space }];
  }

  #told(parts: readonly Part[]): Part[] {
    return parts.flatMap((part): Part[] => {
      if (this.done) return [];
      if (part.type === 'call') {
        this.#calls += 1;
        this.#inText = false;
        this.#space = '';
        return [part];
      }
      if (this.#inText) return [part];
      const text = this.#space + part.text;
      this.#inText = text.trim() !== '';
      this.#space = this.#inText ? '' : text;
      return this.#inText ? [{ type: 'text', text }] : [];
    });
  }
}
