/**
 * Calls with tags around each argument: `<parameter=city>Bern</parameter>`. A string has no quotes
 * there and may contain tags. So an argument ends where the form goes on, not at the first closing
 * tag.
 */

import type { Cursor, Reading } from './cursor.js';
import { skipValue } from './json.js';
import { argumentJson, mayBeText, mayHave, schemaOf, type Schema } from './schema.js';

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
  /** What may end a section whose begin is missing. */
  readonly stray?: string;
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
  // a form without a tag for its end might be prose in one for calls
  if (tags.end === '' && members.size === 0 && !known.has(name)) return false;
  const json = Array.from(members, ([key, value]) => `${JSON.stringify(key)}: ${value}`).join(', ');
  yield* cursor.take(tags.end);
  sink.call(name, `{${json}}`);
  return true;
}

/** Whether the call ends here, or its section without it; moves nowhere. */
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

/**
 * The text of a value, up to the tag that really ends it; moves behind that. Null if there is none.
 * `isJson`: whether it may be an object or a list, whose strings may contain tags.
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
  /** Where the value ends if no better place comes, and where reading goes on then. */
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
 * Where the next argument begins within the text of a value that the model did not close; null if
 * it closed it. `isNext`: whether an argument of this name is declared and still missing. Text that
 * is itself about such tags has a closing tag for each.
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

/** Moves over an object or a list of JSON. */
function* skipContainer(cursor: Cursor): Reading<boolean> {
  const first = yield* cursor.peek();
  return (first === '{' || first === '[') && (yield* skipValue(cursor));
}

/**
 * Takes the closing tag of a value and says whether the form goes on behind it: another argument,
 * or the end. Null if not. An end that only text follows may be one within a value.
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
 * What follows a call: its section's end or another call, then nothing more or other calls (`end`),
 * or text (`text`). Null if neither the section ends nor a call follows.
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

/** Whether a call begins here: its tag, a name, and an argument or the end. */
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
