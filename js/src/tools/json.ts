/** Reads JSON (RFC 8259) while it arrives. Keeps its text: digits, escapes, order, white space. */

import type { Cursor, Reading } from './cursor.js';

const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const SCALAR = /[-+.\w]*/y;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;

/** Skips a value. Returns false if it is invalid or incomplete. */
export function* skipValue(cursor: Cursor): Reading<boolean> {
  /** The open brackets. */
  const open: string[] = [];
  for (;;) {
    yield* cursor.space();
    const first = yield* cursor.peek();
    if (first === '{' || first === '[') {
      cursor.advance(1);
      yield* cursor.space();
      const close = first === '{' ? '}' : ']';
      if (!(yield* cursor.take(close))) {
        open.push(close);
        if (close === '}' && (yield* readKey(cursor)) === null) return false;
        continue;
      }
    } else if (first === '"' ? !(yield* skipString(cursor)) : !(yield* skipScalar(cursor))) return false;
    for (;;) {
      const close = open.at(-1);
      if (close === undefined) return true;
      yield* cursor.space();
      if (yield* cursor.take(',')) {
        if (close === '}' && (yield* readKey(cursor)) === null) return false;
        break;
      }
      if (!(yield* cursor.take(close))) return false;
      open.pop();
    }
  }
}

/** Reads a value and returns its text without surrounding space; null if it is invalid. */
export function* readValue(cursor: Cursor): Reading<string | null> {
  yield* cursor.space();
  const start = cursor.position;
  return (yield* skipValue(cursor)) ? cursor.since(start) : null;
}

/** Reads a key and its colon; null if there is none. */
export function* readKey(cursor: Cursor): Reading<string | null> {
  yield* cursor.space();
  const start = cursor.position;
  if (!(yield* skipString(cursor))) return null;
  const key = JSON.parse(cursor.since(start)) as string;
  yield* cursor.space();
  return (yield* cursor.take(':')) ? key : null;
}

function* skipString(cursor: Cursor): Reading<boolean> {
  if (!(yield* cursor.take('"'))) return false;
  for (;;) {
    yield* cursor.takeAll(PLAIN);
    if (yield* cursor.take('"')) return true;
    while (cursor.rest.length < 6 && !cursor.ended && !isEscape(cursor.rest)) yield;
    if (!isEscape(cursor.rest)) return false;
    cursor.advance(ESCAPE.lastIndex);
  }
}

function isEscape(text: string): boolean {
  ESCAPE.lastIndex = 0;
  return ESCAPE.test(text);
}

function* skipScalar(cursor: Cursor): Reading<boolean> {
  const text = yield* cursor.takeAll(SCALAR);
  return text === 'true' || text === 'false' || text === 'null' || NUMBER.test(text);
}
