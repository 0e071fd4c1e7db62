/**
 * Splits the streamed text of an answer into text and calls, in any format. Calls that do not parse
 * are text.
 */

import type { ToolDescription } from '../types/index.js';
import { Cursor, type Reading } from './cursor.js';
import type { Form } from './form.js';
import { FORMS, MARKS } from './forms.js';
import type { CallRules } from './options.js';
import type { Schema } from './schema.js';
import type { Known } from './tagged.js';

export interface Call {
  readonly type: 'call';
  readonly name: string;
  /** The JSON that the model wrote, or the JSON for what it wrote in another syntax. */
  readonly arguments: string;
}

export type Part = { readonly type: 'text'; readonly text: string } | Call;

/** Prepares the functions that a model can call. */
export function knownTools(tools: readonly (string | ToolDescription)[]): Known {
  const schemas = new Map<string, Schema>();
  for (const tool of tools) {
    const { name, parameters = true } = typeof tool === 'string' ? { name: tool } : tool.function;
    schemas.set(name, parameters);
  }
  return { has: (name) => schemas.has(name), schema: (name) => schemas.get(name) ?? true };
}

const BARE = FORMS.filter(({ marks }) => marks.length === 0);

const formsOf = (mark: string) => FORMS.filter(({ marks }) => marks.includes(mark));

export class CallReader {
  readonly #known: Known;
  readonly #cursor = new Cursor();
  readonly #running: Reading<void>;
  #parts: Part[] = [];
  /** Whether the text read so far may still become a call. */
  #holding = false;

  /**
   * `mixed`: whether text and calls can mix; otherwise an answer that does not start with a mark is
   * text.
   */
  constructor(known: Known, mixed: boolean = true) {
    this.#known = known;
    this.#running = mixed ? this.#run() : this.#runEither();
  }

  push(text: string): Part[] {
    this.#cursor.push(text);
    return this.#go();
  }

  /** Returns what is left at the end of the answer. */
  end(): Part[] {
    this.#cursor.end();
    return this.#go();
  }

  #go(): Part[] {
    this.#parts = [];
    this.#running.next();
    if (!this.#holding) this.#tell();
    return this.#parts;
  }

  /** Emits the text read so far as text. */
  #tell(): void {
    const text = this.#cursor.flush();
    if (text) this.#parts.push({ type: 'text', text });
  }

  *#run(): Reading<void> {
    yield* this.#attempt(BARE, '');
    for (;;) {
      const mark = yield* this.#cursor.to(MARKS);
      if (mark === null) return;
      this.#tell();
      if (!(yield* this.#attempt(formsOf(mark), mark))) this.#cursor.advance(1);
    }
  }

  *#runEither(): Reading<void> {
    const cursor = this.#cursor;
    for (;;) {
      this.#holding = true;
      yield* cursor.space();
      const mark = yield* cursor.next(MARKS);
      this.#holding = false;
      if (mark === null) break;
      this.#tell();
      if (!(yield* this.#attempt(formsOf(mark), mark))) break;
    }
    // everything that follows is text
    for (;;) {
      cursor.advance(cursor.rest.length);
      if (cursor.ended) return;
      yield;
    }
  }

  /** Reads calls in the first of `forms` that matches. */
  *#attempt(forms: readonly Form[], mark: string): Reading<boolean> {
    const cursor = this.#cursor;
    this.#holding = true;
    for (const { read } of forms) {
      const calls: Call[] = [];
      const sink = { call: (name: string, json: string) => void calls.push({ type: 'call', name, arguments: json }) };
      cursor.advance(mark.length);
      if (yield* read(cursor, this.#known, sink)) {
        cursor.flush();
        this.#parts.push(...calls);
        this.#holding = false;
        return true;
      }
      cursor.back(0);
    }
    this.#holding = false;
    return false;
  }
}

/** Detects when an answer has all its calls: after the maximum number, or when a call repeats. */
export class CallWatch {
  readonly #reader: CallReader;
  readonly #most: number;
  readonly #made = new Set<string>();

  constructor(known: Known, { most = Infinity, mixed = true }: CallRules = {}) {
    this.#reader = new CallReader(known, mixed);
    this.#most = most;
  }

  /** Whether the answer ends after `text`. Small models repeat themselves if they can. */
  isOver(text: string): boolean {
    return this.#reader.push(text).some((part) => {
      if (part.type === 'text') return false;
      const call = `${part.name} ${part.arguments}`;
      const again = this.#made.has(call);
      this.#made.add(call);
      return again || this.#made.size >= this.#most;
    });
  }
}
