/**
 * Reads calls with tags around each argument: `<parameter=city>Bern</parameter>`. A string has no
 * quotes and may contain tags, so an argument ends where the rest fits the format, not at the first
 * closing tag.
 */

import { Cursor, type Reading } from './cursor.js';
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
  const keys = new Set<string>();
  const isKey = (key: string) => !keys.has(key) && mayHave(root, key);
  const values: Argument[] = [];
  for (;;) {
    yield* cursor.space();
    if (yield* atEnd(cursor, tags)) break;
    const key = yield* readKey(cursor, tags);
    if (key === null || keys.has(key)) return false;
    keys.add(key);
    const value = yield* readValue(cursor, tags, !mayBeText(root, key), isKey);
    if (value === null) return false;
    values.push({ key, ...value });
  }
  // without an end tag, a call could be prose inside a call's tags
  if (tags.end === '' && keys.size === 0 && !known.has(name)) return false;
  const isMissing = (key: string) => !keys.has(key) && schemaOf(root, key) !== undefined;
  const members: string[] = [];
  for (let value = values.shift(); value; value = values.shift()) {
    const next = value.isJson ? null : unclosed(value.text, tags, isMissing);
    if (next) {
      keys.add(next.key);
      values.unshift(next);
    }
    const text = unpadded(next ? value.text.slice(0, next.at) : value.text, tags.padding);
    members.push(`${JSON.stringify(value.key)}: ${argumentJson(root, value.key, text)}`);
  }
  yield* cursor.take(tags.end);
  sink.call(name, `{${members.join(', ')}}`);
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

/** A value between tags. */
interface Value {
  readonly text: string;
  /** Whether it is an object or list of JSON. */
  readonly isJson?: true;
}

interface Argument extends Value {
  readonly key: string;
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
): Reading<Value | null> {
  const close = tags.value[1];
  const start = cursor.position;
  if (isJson) {
    yield* cursor.space();
    if (yield* skipContainer(cursor)) {
      const text = cursor.since(start);
      if ((yield* readEnd(cursor, tags, isKey)) !== null || (yield* beforeKey(cursor, tags, isKey))) {
        return { text, isJson: true };
      }
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
      return likely;
    }
    cursor.back(end);
    if (mark === close) {
      const goesOn = yield* readEnd(cursor, tags, isKey);
      if (goesOn === 'surely') return { text };
      if (goesOn === 'perhaps') likely = { text, behind: cursor.position };
    } else if (mark === last) {
      // the model did not close the value
      cursor.advance(mark.length);
      const follows = yield* behindCall(cursor, tags);
      cursor.back(end);
      if (follows === 'end') return { text };
      if (follows === 'text') likely ??= { text, behind: end };
    }
    cursor.back(end);
    cursor.advance(1);
  }
}

/**
 * The next argument within a value that the model did not close; null if it did. `isMissing`:
 * whether an argument of this name is declared and was not given. Text about such tags has a
 * closing tag for each; where a tag begins a line, text may also have it within one.
 */
function unclosed(
  text: string,
  tags: Tags,
  isMissing: (key: string) => boolean,
): (Argument & { readonly at: number }) | null {
  const [open, close] = [tags.key[0], tags.value[1]];
  const count = (tag: string) => text.split(tag).length - 1;
  if (count(open) <= count(close)) return null;
  for (let at = text.indexOf(open); at >= 0; at = text.indexOf(open, at + 1)) {
    if (text.startsWith(tags.padding) && !text.slice(0, at).endsWith(tags.padding)) continue;
    const cursor = new Cursor();
    cursor.push(text.slice(at));
    cursor.end();
    const key = readKey(cursor, tags).next().value;
    if (typeof key === 'string' && isMissing(key)) return { at, key, text: cursor.rest };
  }
  return null;
}

/** Skips a JSON object or list. */
function* skipContainer(cursor: Cursor): Reading<boolean> {
  const first = yield* cursor.peek();
  return (first === '{' || first === '[') && (yield* skipValue(cursor));
}

/** Whether another argument starts here; does not move. */
function* beforeKey(cursor: Cursor, tags: Tags, isKey: (key: string) => boolean): Reading<boolean> {
  const here = cursor.position;
  yield* cursor.space();
  const key = yield* readKey(cursor, tags);
  cursor.back(here);
  return key !== null && isKey(key);
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
  if (yield* beforeKey(cursor, tags, isKey)) return 'surely';
  yield* cursor.space();
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
