/** Counts the tokens of a generation and measures times in milliseconds. */

import type { Usage } from '../types/index.js';

export class Clock {
  readonly #start = performance.now();
  #promptTokens = 0;
  #cachedTokens = 0;
  #completionTokens = 0;
  #first = 0;
  #last = 0;

  prompt(tokens: number, cached: number): void {
    this.#promptTokens = tokens;
    this.#cachedTokens = cached;
  }

  token(): void {
    this.#last = performance.now();
    this.#completionTokens += 1;
    if (this.#completionTokens === 1) this.#first = this.#last;
  }

  usage(): Usage {
    const any = this.#completionTokens > 0;
    const promptMs = any ? this.#first - this.#start : 0;
    return {
      promptTokens: this.#promptTokens,
      cachedTokens: this.#cachedTokens,
      completionTokens: this.#completionTokens,
      timeToFirstTokenMs: promptMs,
      promptTokensPerSecond: rate(this.#promptTokens - this.#cachedTokens, promptMs),
      tokensPerSecond: rate(this.#completionTokens - 1, this.#last - this.#first),
    };
  }
}

function rate(tokens: number, ms: number): number {
  return tokens > 0 && ms > 0 ? (1000 * tokens) / ms : 0;
}
