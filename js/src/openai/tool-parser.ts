/** The text of an answer, as it comes → text and calls of functions. */

import { parseJson, TOOL_FORMATS, type Called, type ToolFormat } from '../tool-formats.js';

export type Part = { readonly type: 'text'; readonly text: string } | ({ readonly type: 'call' } & Called);

/** Llama 3 writes a call as bare JSON, and nothing else: an object that begins with one of these. */
const BARE_KEYS = ['"name"', '"type"', '"function"', '"parameters"', '"arguments"'];

export class ToolParser {
  readonly #tools: readonly string[];
  /** Text of which it is not known yet what it is. */
  #held = '';
  #format: ToolFormat | undefined;
  #maybeBare = true;

  /** `tools`: names of the functions that the model may call. */
  constructor(tools: readonly string[]) {
    this.#tools = tools;
  }

  push(text: string): Part[] {
    this.#held += text;
    const parts: Part[] = [];
    while (this.#step(parts)) continue;
    return parts;
  }

  /** What is left at the end of the answer. */
  end(): Part[] {
    if (this.#format) return this.#call(this.#format, this.#held, '');
    const calls = this.#maybeBare ? parseJson(this.#held) : null;
    const known = calls?.every(({ name }) => this.#tools.includes(name));
    return calls && known ? calls.map((call) => ({ type: 'call', ...call })) : textPart(this.#held);
  }

  /** Whether there may be more to do. */
  #step(parts: Part[]): boolean {
    if (this.#format) {
      const { close } = this.#format;
      const end = close === null ? -1 : this.#held.indexOf(close);
      if (close === null || end < 0) return false;
      parts.push(...this.#call(this.#format, this.#held.slice(0, end), close));
      this.#held = this.#held.slice(end + close.length);
      this.#format = undefined;
      return true;
    }
    const opened = TOOL_FORMATS.map((format) => ({ format, at: this.#held.indexOf(format.open) }))
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.at - b.at)[0];
    if (opened) {
      parts.push(...textPart(this.#held.slice(0, opened.at)));
      this.#held = this.#held.slice(opened.at + opened.format.open.length);
      this.#format = opened.format;
      this.#maybeBare = false;
      return true;
    }
    this.#maybeBare &&= maybeBare(this.#held);
    if (this.#maybeBare) return false;
    const certain = this.#held.length - longestBegin(this.#held);
    parts.push(...textPart(this.#held.slice(0, certain)));
    this.#held = this.#held.slice(certain);
    return false;
  }

  #call(format: ToolFormat, body: string, close: string): Part[] {
    const calls = format.parse(body);
    return calls ? calls.map((call) => ({ type: 'call', ...call })) : textPart(format.open + body + close);
  }
}

/** Whether an answer that begins so can be a bare call. */
function maybeBare(text: string): boolean {
  const begin = text.trimStart();
  if (!begin.startsWith('{')) return begin === '';
  const inner = begin.slice(1).trimStart();
  return BARE_KEYS.some((key) => inner.startsWith(key) || key.startsWith(inner));
}

/** How many characters at the end may be the begin of a call. */
function longestBegin(text: string): number {
  const longest = Math.max(...TOOL_FORMATS.map(({ open }) => open.length)) - 1;
  for (let length = Math.min(longest, text.length); length > 0; length -= 1) {
    const tail = text.slice(text.length - length);
    if (TOOL_FORMATS.some(({ open }) => open.startsWith(tail))) return length;
  }
  return 0;
}

function textPart(text: string): Part[] {
  return text ? [{ type: 'text', text }] : [];
}
