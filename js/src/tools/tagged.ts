/**
 * Calls with tags around each argument: `<parameter=city>Bern</parameter>`. A string has no quotes there
 * and may contain tags. So an argument ends where the form goes on, not at the first closing tag.
 */

import type { Cursor, Reading } from './cursor.js';
import { argumentJson, mayHave, type Schema } from './schema.js';

/** The tags of a form. */
export interface Tags {
  /** Before and behind the name of the function. */
  readonly name: readonly [open: string, close: string];
  /** Before and behind a key. Behind a quoted key, other attributes may stand before the `>`. */
  readonly key: readonly [open: string, close: string];
  /** Before a value, behind what closes its key; may be empty. */
  readonly value: readonly [open: string, close: string];
  /** Ends a call; empty where what ends the section does. */
  readonly end: string;
  /** Around all calls; null where there is nothing. */
  readonly section: readonly [open: string, close: string] | null;
  /** What stands on either side of a value and is no part of it, where it does. */
  readonly padding: '' | '\n';
}

/** What is known of the function that is called. */
export interface Known {
  has(name: string): boolean;
  schema(name: string): Schema;
}

/** Where calls go. */
export interface Sink {
  call(name: string, json: string): void;
}

/** Reads one call, from its first tag on. */
export function* readTagged(cursor: Cursor, tags: Tags, known: Known, sink: Sink): Reading<boolean> {
  if (!(yield* cursor.take(tags.name[0]))) return false;
  const name = yield* readName(cursor, tags);
  return name === null ? false : yield* readArguments(cursor, tags, name, known, sink);
}

/** Names have neither white space nor brackets. */
const NAME = /[^\s<>"]*/y;

function* readName(cursor: Cursor, tags: Tags): Reading<string | null> {
  yield* cursor.space();
  const name = yield* cursor.takeAll(NAME);
  yield* cursor.space();
  return name !== '' && (yield* cursor.take(tags.name[1])) ? name : null;
}

/** Reads the arguments of `name`, and what ends the call. */
export function* readArguments(cursor: Cursor, tags: Tags, name: string, known: Known, sink: Sink): Reading<boolean> {
  const root = known.schema(name);
  const members = new Map<string, string>();
  const isKey = (key: string) => !members.has(key) && mayHave(root, key);
  for (;;) {
    yield* cursor.space();
    if (yield* atEnd(cursor, tags)) break;
    const key = yield* readKey(cursor, tags);
    if (key === null || members.has(key)) return false;
    members.set(key, '');
    const text = yield* readValue(cursor, tags, isKey);
    if (text === null) return false;
    members.set(key, argumentJson(root, key, unpadded(text, tags.padding)));
  }
  // a form without a tag for its end might be prose in one for calls
  if (tags.end === '' && members.size === 0 && !known.has(name)) return false;
  const json = Array.from(members, ([key, value]) => `${JSON.stringify(key)}: ${value}`).join(', ');
  yield* cursor.take(tags.end);
  sink.call(name, `{${json}}`);
  return true;
}

/** Whether the call ends here; moves nowhere. */
function* atEnd(cursor: Cursor, { end, section }: Tags): Reading<boolean> {
  const here = cursor.position;
  const found = yield* cursor.take(end || (section?.[1] ?? ''));
  cursor.back(here);
  return found;
}

const KEY = /[^<>"\n]*/y;

function* readKey(cursor: Cursor, { key: [open, close], value: [before] }: Tags): Reading<string | null> {
  if (!(yield* cursor.take(open))) return null;
  const key = yield* cursor.takeAll(KEY);
  if (close.startsWith('"')) {
    // an attribute, behind which others may stand
    if (!(yield* cursor.take('"')) || (yield* cursor.to(['>'])) === null) return null;
    cursor.advance(1);
  } else if (!(yield* cursor.take(close))) return null;
  if (before !== '') {
    yield* cursor.space();
    if (!(yield* cursor.take(before))) return null;
  }
  return key.trim() || null;
}

/** Up to the tag that really ends the value, and behind it; null where there is none. */
function* readValue(cursor: Cursor, tags: Tags, isKey: (key: string) => boolean): Reading<string | null> {
  const close = tags.value[1];
  const last = tags.end || (tags.section?.[1] ?? '');
  const start = cursor.position;
  for (;;) {
    const mark = yield* cursor.to([close, last]);
    if (mark === null) return null;
    const text = cursor.since(start);
    const end = cursor.position;
    cursor.advance(mark.length);
    const behind = cursor.position;
    if (mark === close && (yield* goesOn(cursor, tags, isKey))) {
      cursor.back(behind);
      return text;
    }
    // the last value of a call, which the model did not close
    if (mark === last && (yield* isBetweenCalls(cursor, tags))) {
      cursor.back(end);
      return text;
    }
    cursor.back(end);
    cursor.advance(1);
  }
}

/** Whether another argument follows, or the end of the call. */
function* goesOn(cursor: Cursor, tags: Tags, isKey: (key: string) => boolean): Reading<boolean> {
  yield* cursor.space();
  const here = cursor.position;
  const key = yield* readKey(cursor, tags);
  if (key !== null && isKey(key)) return true;
  cursor.back(here);
  if (tags.end === '') return yield* cursor.take(tags.section?.[1] ?? '');
  return (yield* cursor.take(tags.end)) && (tags.section === null || (yield* isBetweenCalls(cursor, tags)));
}

/** Behind a call: whether the section ends, another call follows, or no text at all. */
function* isBetweenCalls(cursor: Cursor, { end, section, name: [call] }: Tags): Reading<boolean> {
  yield* cursor.space();
  if ((yield* cursor.peek()) === '') return true;
  const marks = end === '' ? [section?.[0]] : [section?.[1], section?.[0], call];
  for (const mark of marks) {
    if (mark && (yield* cursor.take(mark))) return true;
  }
  return false;
}

function unpadded(text: string, padding: string): string {
  if (padding === '') return text;
  const begun = text.startsWith(padding) ? text.slice(padding.length) : text;
  return begun.endsWith(padding) ? begun.slice(0, -padding.length) : begun;
}
