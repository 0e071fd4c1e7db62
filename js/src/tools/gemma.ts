/**
 * Reads calls of FunctionGemma and Gemma 4: `call:name{city:<escape>Bern<escape>,days:3}`. Strings
 * stand between two equal marks, without escapes. JSON values are read too.
 */

import type { Reader } from './calls.js';
import type { Cursor, Reading } from './cursor.js';
import { readValue } from './json.js';

const NAME = /[\p{L}\p{M}\p{N}_.:/@-]*/uy;
const KEY = /[^\s:,{}[\]"<>]*/y;
const BARE = /[^,{}[\]"<>\n]*/y;
const MOST_DEPTH = 64;

/** `quote`: on both sides of a string. `close`: ends a call, as the end of the answer does. */
export function gemmaCall(quote: string, close: string): Reader {
  return function* (cursor, _, sink) {
    yield* cursor.space();
    if (!(yield* cursor.take('call:'))) return false;
    const name = yield* cursor.takeAll(NAME);
    yield* cursor.space();
    if (name === '' || (yield* cursor.peek()) !== '{') return false;
    const json = yield* readGemma(cursor, quote, 0);
    if (json === null) return false;
    yield* cursor.space();
    if (!(yield* cursor.take(close)) && (yield* cursor.peek()) !== '') return false;
    sink.call(name, json);
    return true;
  };
}

/** Reads a value and returns it as JSON; null if it is invalid. */
function* readGemma(cursor: Cursor, quote: string, depth: number): Reading<string | null> {
  yield* cursor.space();
  const first = yield* cursor.peek();
  if (first === '{' || first === '[') return yield* readItems(cursor, quote, depth);
  if (yield* cursor.take(quote)) return yield* readText(cursor, quote);
  if (first === '"') return yield* readValue(cursor);
  const text = (yield* cursor.takeAll(BARE)).trim();
  if (text === '') return null;
  return isScalar(text) ? text : JSON.stringify(text);
}

function* readItems(cursor: Cursor, quote: string, depth: number): Reading<string | null> {
  if (depth >= MOST_DEPTH) return null;
  const close = cursor.advance(1) === '{' ? '}' : ']';
  const items: string[] = [];
  for (;;) {
    yield* cursor.space();
    if (yield* cursor.take(close)) break;
    const key = close === '}' ? yield* readKey(cursor, quote) : '';
    const value: string | null = key === null ? null : yield* readGemma(cursor, quote, depth + 1);
    if (value === null) return null;
    items.push(`${key}${value}`);
    yield* cursor.space();
    if (!(yield* cursor.take(',')) && (yield* cursor.peek()) !== close) return null;
  }
  return close === '}' ? `{${items.join(', ')}}` : `[${items.join(', ')}]`;
}

/** Reads a key with its colon and returns it as JSON. */
function* readKey(cursor: Cursor, quote: string): Reading<string | null> {
  let key: string | null;
  if (yield* cursor.take(quote)) key = yield* readText(cursor, quote);
  else if ((yield* cursor.peek()) === '"') key = yield* readValue(cursor);
  else key = JSON.stringify(yield* cursor.takeAll(KEY));
  yield* cursor.space();
  return key !== null && key !== '""' && (yield* cursor.take(':')) ? `${key}: ` : null;
}

/** Reads a string after its opening mark and returns it as JSON. */
function* readText(cursor: Cursor, quote: string): Reading<string | null> {
  const start = cursor.position;
  if ((yield* cursor.to([quote])) === null) return null;
  const text = cursor.since(start);
  cursor.advance(quote.length);
  return JSON.stringify(text);
}

function isScalar(text: string): boolean {
  return /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)$/.test(text);
}
