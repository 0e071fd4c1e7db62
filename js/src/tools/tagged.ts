/**
 * Reads calls with tags around each argument: `<parameter=city>Bern</parameter>`. A string has no
 * quotes and may contain tags, so an argument ends where the rest fits the format, not at the first
 * closing tag.
 */

import type { Cursor, Reading } from './cursor.js';
import { skipValue } from './json.js';
import { argumentJson, mayBeText, mayHave, schemaOf, type Schema } from './schema.js';

/** The tags of a format. */
export interface Tags {
  /** Before and after the name of the function. */
  readonly name: readonly [open: string, close: string];
  /** Before and after a key. After a quoted key, other attributes may follow before the `>`. */
  readonly key: readonly [open: string, close: string];
  /** Before a value, after the end of its key; may be empty. */
  readonly value: readonly [open: string, close: string];
  /** Ends a call; empty if the end of the section does. */
  readonly end: string;
  /** Around all calls; null if there is nothing. */
  readonly section: readonly [open: string, close: string] | null;
  /** Can end a section whose start is missing. */
  readonly stray?: string;
  /** Optional padding on both sides of a value. */
  readonly padding: '' | '\n';
}

/** What is known of the called function. */
export interface Known {
  has(name: string): boolean;
  schema(name: string): Schema;
}

/** Receives the calls. */
export interface Sink {
  call(name: string, json: string): void;
}

/** Reads a call from its first tag on. */
export function* readTagged(cursor: Cursor, tags: Tags, known: Known, sink: Sink): Reading<boolean> {
  if (!(yield* cursor.take(tags.name[0]))) return false;
  const name = yield* readName(cursor, tags);
  return name === null ? false : yield* readArguments(cursor, tags, name, known, sink);
}

/** Names contain neither white space nor angle brackets or quotes. */
const NAME = /[^\s<>"]*/y;

function* readName(cursor: Cursor, tags: Tags): Reading<string | null> {
  yield* cursor.space();
  const name = yield* cursor.takeAll(NAME);
  yield* cursor.space();
  return name !== '' && (yield* cursor.take(tags.name[1])) ? name : null;
}

/** Reads the arguments of `name` and the end of the call. */
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
    const behind = cursor.position;
    let text = yield* readValue(cursor, tags, !mayBeText(root, key), isKey);
    if (text === null) return false;
    const next = unclosed(text, tags, (key) => !members.has(key) && schemaOf(root, key) !== undefined);
    if (next !== null) {
      text = text.slice(0, next);
      cursor.back(behind + next);
    }
    members.set(key, argumentJson(root, key, unpadded(text, tags.padding)));
  }
  // without an end tag, a call could be prose inside a call's tags
  if (tags.end === '' && members.size === 0 && !known.has(name)) return false;
  const json = Array.from(members, ([key, value]) => `${JSON.stringify(key)}: ${value}`).join(', ');
  yield* cursor.take(tags.end);
  sink.call(name, `{${json}}`);
  return true;
}

/** Whether the call or its section ends here; does not move. */
function* atEnd(cursor: Cursor, { end, section }: Tags): Reading<boolean> {
  const here = cursor.position;
  const sectionEnd = section?.[1] ?? '';
  const found = (end !== '' && (yield* cursor.take(end))) || (sectionEnd !== '' && (yield* cursor.take(sectionEnd)));
  cursor.back(here);
  return found;
}

const KEY = /[^<>"\n]*/y;

function* readKey(cursor: Cursor, { key: [open, close], value: [before] }: Tags): Reading<string | null> {
  if (!(yield* cursor.take(open))) return null;
  const key = yield* cursor.takeAll(KEY);
  if (close.startsWith('"')) {
    // an attribute, which others may follow
    if (!(yield* cursor.take('"')) || (yield* cursor.to(['>'])) === null) return null;
    cursor.advance(1);
  } else if (!(yield* cursor.take(close))) return null;
  if (before !== '') {
    yield* cursor.space();
    if (!(yield* cursor.take(before))) return null;
  }
  return key.trim() || null;
}

/**
 * Reads a value up to the tag that really ends it, and moves past it. Null if there is none.
 * `isJson`: whether it may be an object or list, whose strings may contain tags.
 */
function* readValue(
  cursor: Cursor,
  tags: Tags,
  isJson: boolean,
  isKey: (key: string) => boolean,
): Reading<string | null> {
  const close = tags.value[1];
  const start = cursor.position;
  if (isJson) {
    yield* cursor.space();
    if ((yield* skipContainer(cursor)) && (yield* readEnd(cursor, tags, isKey)) !== null) {
      return cursor.since(start).slice(0, -close.length);
    }
    cursor.back(start);
  }
  const last = tags.end || (tags.section?.[1] ?? '');
  const open = tags.section?.[0] ?? tags.name[0];
  /** Best end of the value so far, and where reading continues then. */
  let likely: { readonly text: string; readonly behind: number } | undefined;
  for (;;) {
    const mark = yield* cursor.to(likely ? [close, last, open] : [close, last]);
    const text = cursor.since(start);
    const end = cursor.position;
    if (mark === null || (mark === open && (yield* beginsCall(cursor, tags)))) {
      if (!likely) return null;
      cursor.back(likely.behind);
      return likely.text;
    }
    cursor.back(end);
    if (mark === close) {
      const goesOn = yield* readEnd(cursor, tags, isKey);
      if (goesOn === 'surely') return text;
      if (goesOn === 'perhaps') likely = { text, behind: cursor.position };
    } else if (mark === last) {
      // the model did not close the value
      cursor.advance(mark.length);
      const follows = yield* behindCall(cursor, tags);
      cursor.back(end);
      if (follows === 'end') return text;
      if (follows === 'text') likely ??= { text, behind: end };
    }
    cursor.back(end);
    cursor.advance(1);
  }
}

/**
 * Position in a value where the next argument starts because the model did not close the value; null
 * if it did. `isNext`: whether an argument of this name is declared and still missing. Text about
 * such tags has a closing tag for each.
 */
function unclosed(text: string, { key: [open, close], value }: Tags, isNext: (key: string) => boolean): number | null {
  const count = (tag: string) => text.split(tag).length - 1;
  if (count(open) <= count(value[1])) return null;
  for (let at = text.indexOf(open); at >= 0; at = text.indexOf(open, at + 1)) {
    const name = text.slice(at + open.length);
    const end = name.indexOf(close[0] ?? '');
    if (end > 0 && name.startsWith(close, end) && isNext(name.slice(0, end).trim())) return at;
  }
  return null;
}

/** Skips a JSON object or list. */
function* skipContainer(cursor: Cursor): Reading<boolean> {
  const first = yield* cursor.peek();
  return (first === '{' || first === '[') && (yield* skipValue(cursor));
}

/**
 * Takes the closing tag of a value and tells whether the rest fits the format: another argument, or
 * the end. Null if not. An end that is only followed by text may be inside a value.
 */
function* readEnd(cursor: Cursor, tags: Tags, isKey: (key: string) => boolean): Reading<'surely' | 'perhaps' | null> {
  const { end, section } = tags;
  yield* cursor.space();
  if (!(yield* cursor.take(tags.value[1]))) return null;
  const behind = cursor.position;
  yield* cursor.space();
  const here = cursor.position;
  const key = yield* readKey(cursor, tags);
  if (key !== null && isKey(key)) {
    cursor.back(behind);
    return 'surely';
  }
  cursor.back(here);
  const ends = yield* cursor.take(end || (section?.[1] ?? ''));
  const follows = ends && end ? yield* behindCall(cursor, tags) : null;
  if (!ends && end && section && (yield* cursor.take(section[1]))) {
    // the model did not close the call
    yield* cursor.space();
    const over = (yield* cursor.peek()) === '' || (yield* beginsCall(cursor, tags));
    cursor.back(behind);
    return over ? 'surely' : null;
  }
  cursor.back(behind);
  if (!ends || (end && follows === null)) return null;
  return section === null && follows === 'text' ? 'perhaps' : 'surely';
}

/**
 * Tells what follows a call: the end of its section or another call, and after it nothing or more
 * calls (`end`) or text (`text`). Null if neither follows.
 */
function* behindCall(cursor: Cursor, tags: Tags): Reading<'end' | 'text' | null> {
  const { end, section, stray } = tags;
  yield* cursor.space();
  if ((yield* cursor.peek()) === '' || (yield* beginsCall(cursor, tags))) return 'end';
  if (stray && (yield* cursor.take(stray))) return 'end';
  if (section && end !== '') {
    if (!(yield* cursor.take(section[1]))) return null;
    yield* cursor.space();
  }
  return (yield* cursor.peek()) === '' || (yield* beginsCall(cursor, tags)) ? 'end' : 'text';
}

/** Whether a call starts here: its tag, a name, and an argument or the end. */
function* beginsCall(cursor: Cursor, tags: Tags): Reading<boolean> {
  const { name, key, end, section } = tags;
  const here = cursor.position;
  const inSection = section !== null && (yield* cursor.take(section[0]));
  yield* cursor.space();
  let begins =
    (inSection || name[0] !== '') && (yield* cursor.take(name[0])) && (yield* readName(cursor, tags)) !== null;
  yield* cursor.space();
  begins = begins && ((yield* cursor.take(key[0])) || (yield* cursor.take(end || (section?.[1] ?? ''))));
  if (!begins) cursor.back(here);
  return begins;
}

function unpadded(text: string, padding: string): string {
  if (padding === '') return text;
  const begun = text.startsWith(padding) ? text.slice(padding.length) : text;
  return begun.endsWith(padding) ? begun.slice(0, -padding.length) : begun;
}
