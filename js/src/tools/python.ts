/** Reads calls in Python syntax, `name(key="value", other=[1, True])`: LFM2, Llama 4, OLMo 3. */

import { Cursor, type Reading } from './cursor.js';

export const NAME: RegExp = /[\p{L}\p{M}\p{N}_.:/@-]*/uy;
const KEY = /[\p{L}\p{M}\p{N}_]*/uy;
const WORD = /[-+.\w]*/y;
const NUMBER = /^[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/;
const WORDS: Readonly<Record<string, string>> = {
  True: 'true',
  False: 'false',
  None: 'null',
  true: 'true',
  false: 'false',
  null: 'null',
};
const MOST_DEPTH = 64;

/**
 * Reads a name and keyword arguments, and returns the arguments as JSON; null if it is not a call.
 */
export function* readPythonCall(cursor: Cursor): Reading<{ name: string; arguments: string } | null> {
  const name = yield* cursor.takeAll(NAME);
  if (name === '' || !(yield* cursor.take('('))) return null;
  const members: string[] = [];
  for (;;) {
    yield* cursor.space();
    if (yield* cursor.take(')')) return { name, arguments: `{${members.join(', ')}}` };
    const key = yield* cursor.takeAll(KEY);
    yield* cursor.space();
    if (key === '' || !(yield* cursor.take('='))) return null;
    const value = yield* readPython(cursor);
    if (value === null) return null;
    members.push(`${JSON.stringify(key)}: ${value}`);
    yield* cursor.space();
    if (!(yield* cursor.take(',')) && (yield* cursor.peek()) !== ')') return null;
  }
}

/** Reads a literal and returns it as JSON; null if it is invalid. */
export function* readPython(cursor: Cursor, depth = 0): Reading<string | null> {
  yield* cursor.space();
  const first = yield* cursor.peek();
  if (first === '"' || first === "'") return yield* readString(cursor, first);
  if (first === '[' || first === '(') return yield* readItems(cursor, first === '[' ? ']' : ')', depth);
  if (first === '{') return yield* readItems(cursor, '}', depth);
  const word = yield* cursor.takeAll(WORD);
  if (Object.hasOwn(WORDS, word)) return WORDS[word] ?? null;
  return NUMBER.test(word) ? numberJson(word) : null;
}

/** Converts a text that is a literal to JSON; null if it is not. */
export function pythonJson(text: string): string | null {
  const cursor = new Cursor();
  cursor.push(text);
  cursor.end();
  const { value } = readPython(cursor).next();
  return typeof value === 'string' && cursor.rest === '' ? value : null;
}

function* readItems(cursor: Cursor, close: string, depth: number): Reading<string | null> {
  if (depth >= MOST_DEPTH) return null;
  cursor.advance(1);
  const items: string[] = [];
  for (;;) {
    yield* cursor.space();
    if (yield* cursor.take(close)) break;
    let item = yield* readPython(cursor, depth + 1);
    if (close === '}' && item !== null) {
      const key = item.startsWith('"') ? item : JSON.stringify(item);
      yield* cursor.space();
      if (!(yield* cursor.take(':'))) return null;
      const value: string | null = yield* readPython(cursor, depth + 1);
      item = value === null ? null : `${key}: ${value}`;
    }
    if (item === null) return null;
    items.push(item);
    yield* cursor.space();
    if (!(yield* cursor.take(',')) && (yield* cursor.peek()) !== close) return null;
  }
  return close === '}' ? `{${items.join(', ')}}` : `[${items.join(', ')}]`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v', a: '\u0007', '0': '\0', '\n': '' },
  ...{ '\\': '\\', '"': '"', "'": "'" },
};

const HEX: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

function* readString(cursor: Cursor, quote: string): Reading<string | null> {
  const long = quote.repeat(3);
  const close = (yield* cursor.take(long)) ? long : quote;
  if (close === quote) cursor.advance(1);
  let text = '';
  for (;;) {
    const start = cursor.position;
    const mark = yield* cursor.to([close, '\\']);
    text += cursor.since(start);
    if (mark === null) return null;
    cursor.advance(mark.length);
    if (mark === close) return JSON.stringify(text);
    const escaped = yield* cursor.peek();
    const digits = HEX[escaped];
    if (escaped === '') return null;
    cursor.advance(1);
    if (digits !== undefined) {
      while (cursor.rest.length < digits && !cursor.ended) yield;
      const code = cursor.advance(digits);
      if (code.length < digits || !/^[0-9a-fA-F]+$/.test(code) || parseInt(code, 16) > 0x10ffff) return null;
      text += String.fromCodePoint(parseInt(code, 16));
    } else {
      // Python keeps unknown escapes
      text += ESCAPES[escaped] ?? `\\${escaped}`;
    }
  }
}

/** Converts a number; JSON has no plus sign, underscore or bare decimal point. */
function numberJson(word: string): string {
  const plain = word
    .replaceAll('_', '')
    .replace(/^\+/, '')
    .replace(/^(-?)0+(?=\d)/, '$1');
  return plain.replace(/^(-?)\./, '$10.').replace(/\.(?=$|[eE])/, '');
}
