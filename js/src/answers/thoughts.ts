/** Separates a model's reasoning from its answer. */

import { firstOf, longestBegin } from '../tools/cursor.js';
import type { ThoughtFormat } from './thought-formats.js';

/** A piece of the answer, split into text and reasoning. */
export interface Split {
  readonly text: string;
  readonly reasoning: string;
  /** Reasoning ends here that the model did not start: all text before was reasoning. */
  readonly endsReasoning?: true;
}

export interface ThoughtOptions {
  /** The token that starts reasoning; null if it is not a single token. */
  readonly opening?: number | null;
  /** After one of these, marks are ignored: they are in the arguments of a call. */
  readonly calls?: readonly string[];
  /** Whether reasoning may end without having started, as some models write it. */
  readonly unopened?: boolean;
}

/** Splits the streamed text of an answer into reasoning and answer, without surrounding space. */
export class Thoughts {
  readonly #format: ThoughtFormat;
  readonly #opening: number | null;
  readonly #calls: readonly string[];
  #state: 'start' | 'thoughts' | 'skip' | 'answer';
  /** Whether the answer may turn out to be reasoning. */
  #unopened: boolean;
  /** Text that may be part of a mark. */
  #held = '';
  /** Whether this block of reasoning has no text yet. */
  #fresh = true;
  #thought = false;
  #told = false;
  /** Whether the answer started with a skipped text. */
  #wrapped = false;

  /** `open`: whether the prompt has started the reasoning. */
  constructor(
    format: ThoughtFormat,
    open: boolean,
    { opening = null, calls = [], unopened = true }: ThoughtOptions = {},
  ) {
    this.#format = format;
    this.#opening = opening;
    this.#calls = calls;
    this.#unopened = unopened && !format.parts;
    this.#state = open ? 'thoughts' : 'start';
  }

  /** Whether reasoning has started and not ended. */
  get thinking(): boolean {
    return this.#state === 'thoughts';
  }

  /** The token that would start reasoning now. */
  get opening(): number | null {
    return this.#state === 'start' && this.#held === '' ? this.#opening : null;
  }

  push(text: string): Split {
    this.#held += text;
    const split = { text: '', reasoning: '' };
    while (this.#step(split)) continue;
    return split;
  }

  /** Takes the last text and returns it with what was held back. */
  end(last: string): Split {
    const split = this.push(last);
    const rest = this.#held;
    this.#held = '';
    const { text, reasoning } = split;
    // reasoning that is cut off is still reasoning
    if (this.thinking) return { ...split, reasoning: reasoning + (this.#fresh ? rest.trim() : rest.trimEnd()) };
    const { last: mark } = this.#format;
    if (mark !== undefined && this.#wrapped && rest.trim() === mark) return split;
    return { ...split, text: text + (this.#state === 'skip' ? rest.trim() : rest) };
  }

  /** Returns whether there may be more to do. */
  #step(split: { text: string; reasoning: string; endsReasoning?: true }): boolean {
    const { open, close, skip, call, parts, head, last } = this.#format;
    switch (this.#state) {
      case 'start':
      case 'skip': {
        const begin = this.#held.trimStart();
        const opened = lengthOfOpen(begin, open);
        if (opened) return this.#enter('thoughts', begin.slice(opened));
        if (call !== undefined && begin.startsWith(call)) return this.#enter('answer', begin);
        if (call?.startsWith(begin)) return false;
        const mark = skip.find((mark) => begin.startsWith(mark));
        if (mark) {
          this.#wrapped = true;
          return this.#enter('skip', begin.slice(mark.length));
        }
        if (head && begin.startsWith(head.begin)) {
          const [all, channel] = head.pattern.exec(begin) ?? [];
          if (all) return this.#enter(channel === head.thoughts ? 'thoughts' : 'skip', begin.slice(all.length));
          const ends = [head.end, head.call].some((end) => begin.includes(end)) || begin.length > LONGEST_TAG;
          if (!ends) return false;
        }
        if (opened === null || skip.some((mark) => mark.startsWith(begin))) return false;
        return this.#enter('answer', this.#state === 'skip' ? begin : this.#held);
      }
      case 'thoughts': {
        if (this.#fresh) {
          this.#held = this.#held.trimStart();
          // the model starts it although the prompt did
          if (this.#held.startsWith(open)) return this.#enter('thoughts', this.#held.slice(open.length));
          if (open.startsWith(this.#held)) return false;
        }
        const end = this.#held.indexOf(close);
        const certain = end < 0 ? this.#held.length - longestBegin(this.#held, [close]) : end;
        const told = this.#held.slice(0, certain).trimEnd();
        if (told !== '' && this.#fresh && this.#thought) split.reasoning += '\n\n';
        split.reasoning += told;
        if (told !== '') [this.#fresh, this.#thought] = [false, true];
        if (end >= 0) return this.#leave(this.#held.slice(end + close.length));
        this.#held = this.#held.slice(told.length);
        return false;
      }
      case 'answer': {
        const text = this.#held;
        // JSON may contain the mark in a string
        if (!this.#told && /^\s*[[{]/.test(text)) this.#unopened = false;
        const marks = [...(parts || this.#unopened ? [close] : []), ...(this.#unopened ? this.#calls : [])];
        const found = firstOf(text, marks);
        const certain = Math.min(
          found?.at ?? text.length - (marks.length > 0 ? longestBegin(text, marks) : 0),
          last !== undefined && this.#wrapped && !found ? beginOfLast(text, last) : Infinity,
        );
        if (found?.mark === close) {
          if (parts) {
            this.#tell(split, text.slice(0, certain));
            return this.#enter('skip', text.slice(certain + close.length));
          }
          if (this.#told) split.endsReasoning = true;
          const last = text.slice(0, certain).trimEnd();
          split.reasoning += this.#told ? last : last.trimStart();
          return this.#leave(text.slice(certain + close.length));
        }
        if (found) this.#unopened = false;
        this.#tell(split, found ? text : text.slice(0, certain));
        this.#held = found ? '' : text.slice(certain);
        return false;
      }
    }
  }

  #tell(split: { text: string }, text: string): void {
    split.text += text;
    this.#told ||= text.trim() !== '';
  }

  /** Leaves the reasoning; there is no other without a start. */
  #leave(rest: string): true {
    this.#unopened = false;
    this.#fresh = true;
    return this.#enter('skip', rest);
  }

  #enter(state: 'thoughts' | 'skip' | 'answer', rest: string): true {
    this.#state = state;
    this.#held = rest;
    return true;
  }
}

/** Position where `last` starts or may start at the end of `text`, with the space around it. */
function beginOfLast(text: string, last: string): number {
  const trimmed = text.trimEnd();
  const begun = trimmed === text ? longestBegin(text, [last]) : 0;
  return trimmed.slice(0, trimmed.length - (trimmed.endsWith(last) ? last.length : begun)).trimEnd().length;
}

const TAG = /^<[\w:]+>$/;
const LONGEST_TAG = 256;

/**
 * Length of the mark that starts reasoning, which may be a tag with attributes; 0 if there is none,
 * null if it may still come.
 */
function lengthOfOpen(text: string, open: string): number | null {
  if (text.startsWith(open)) return open.length;
  if (open.startsWith(text)) return null;
  const name = open.slice(0, -1);
  if (!TAG.test(open) || !text.startsWith(name) || !/^\s/.test(text.slice(name.length))) return 0;
  const end = text.indexOf('>');
  return end < 0 && text.length < LONGEST_TAG ? null : end + 1;
}
