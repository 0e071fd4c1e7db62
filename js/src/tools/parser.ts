/** Splits the streamed text of an answer into content and calls, as OpenAI's servers do. */

import type { ToolDescription } from '../types/index.js';
import type { CallRules } from './options.js';
import { CallReader, knownTools, type Part } from './reader.js';

export type { Part } from './reader.js';

export class ToolParser {
  readonly #reader: CallReader;
  readonly #most: number;
  #calls = 0;
  /** White space that may only separate calls. */
  #space = '';
  /** Whether there was text since the last call. */
  #inText = false;

  /** `tools`: the functions that can be called; a bare name has no schema. */
  constructor(tools: readonly (string | ToolDescription)[], { most = Infinity, mixed = true }: CallRules = {}) {
    this.#reader = new CallReader(knownTools(tools), mixed);
    this.#most = most;
  }

  /** Whether the answer has all its calls and is over. */
  get done(): boolean {
    return this.#calls >= this.#most;
  }

  push(text: string): Part[] {
    return this.#told(this.#reader.push(text));
  }

  /** Returns what is left at the end of the answer. */
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
