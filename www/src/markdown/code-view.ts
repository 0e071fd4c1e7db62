/** A block of code that grows: its lines, their colours, and a button that copies it. */

import { highlight, type Highlighting, type Token } from './highlight.js';
import { onLanguage, t } from '../text/text.js';

/**
 * Lines lie in blocks of so many, so that the browser lays out the last block alone when a line is
 * added.
 */
const LINES_PER_BLOCK = 50;

/** Blocks are no components: their buttons are told of another language here. */
onLanguage(() => document.querySelectorAll('.code-head button').forEach(label));

function label(button: Element): void {
  button.textContent = t('copy');
  button.setAttribute('aria-label', t('code-copy'));
}

export class CodeView {
  readonly element = document.createElement('div');
  readonly #name = document.createElement('span');
  readonly #code = document.createElement('code');
  readonly #lines: HTMLElement[] = [];
  /** How much of the code stands in whole lines. */
  #whole = 0;
  #length = 0;
  #closed = false;
  #highlighting: Highlighting | undefined;

  constructor() {
    this.element.className = 'code';
    this.element.dir = 'ltr';
    const copy = document.createElement('button');
    copy.type = 'button';
    copy.className = 'copy';
    label(copy);
    const head = document.createElement('div');
    head.className = 'code-head';
    head.append(this.#name, copy);
    const pre = document.createElement('pre');
    pre.tabIndex = 0; // wide code scrolls by keyboard too
    pre.append(this.#code);
    this.element.append(head, pre);
  }

  /** Known when the first line is whole. */
  set language(name: string) {
    if (this.#name.textContent !== name) this.#name.textContent = name;
  }

  /**
   * `text` starts with what was shown before, except that the mark which closes the code takes the
   * last end of line with it. `closed`: the last line is whole too.
   */
  show(text: string, closed: boolean): void {
    if (text.length === this.#length && closed === this.#closed) return;
    this.#length = text.length;
    this.#closed = closed;
    if (text.length < this.#whole) this.#removeLineEnd();
    else this.#grow(text, closed);
  }

  #removeLineEnd(): void {
    this.#lines.pop()?.remove();
    const end = this.#lines.at(-1)?.lastChild;
    if (end) end.textContent = end.textContent!.replace(/\n$/, '');
    this.#highlight([], true);
  }

  #grow(text: string, closed: boolean): void {
    const lines = text.slice(this.#whole).split('\n');
    const rest = lines.pop()!;
    const whole = lines.map((line) => `${line}\n`);
    if (closed && rest !== '') whole.push(rest);
    this.#replaceLast(whole[0] ?? rest);
    for (const line of whole.slice(1)) this.#add(line);
    this.#whole += whole.reduce((sum, line) => sum + line.length, 0);
    if (whole.length > 0 && !closed) this.#add(rest);
    const complete = whole.map((line) => line.replace(/\n$/, ''));
    if (complete.length > 0 || closed) this.#highlight(complete, closed);
  }

  #replaceLast(text: string): void {
    const last = this.#lines.at(-1);
    if (last) last.textContent = text;
    else this.#add(text);
  }

  #add(text: string): void {
    const line = document.createElement('span');
    line.className = 'line';
    line.textContent = text;
    if (this.#lines.length % LINES_PER_BLOCK === 0) {
      const block = document.createElement('span');
      block.className = 'lines';
      this.#code.append(block);
    }
    this.#code.lastElementChild!.append(line);
    this.#lines.push(line);
  }

  #highlight(lines: string[], last: boolean): void {
    this.#highlighting ??= highlight(this.#name.textContent ?? '', (index, tokens) => this.#colour(index, tokens));
    this.#highlighting?.add(lines, last);
  }

  #colour(index: number, tokens: Token[]): void {
    const line = this.#lines[index];
    const text = line?.textContent;
    if (!line || !text) return;
    let at = 0;
    const parts: (string | HTMLElement)[] = [];
    for (const [length, kind] of tokens) {
      const piece = text.slice(at, (at += length));
      if (!kind) {
        parts.push(piece);
        continue;
      }
      const span = document.createElement('span');
      span.className = `tok-${kind}`;
      span.textContent = piece;
      parts.push(span);
    }
    line.replaceChildren(...parts, text.slice(at));
  }
}
