/** Readers of tool-call formats with JSON in them. */

import type { Cursor, Reading } from './cursor.js';
import { readKey, readValue } from './json.js';
import { NAME as PYTHON_NAME, readPythonCall } from './python.js';
import type { Known, Sink } from './tagged.js';

/**
 * Reads calls after the mark of a format. Returns false if there are none; the text read is then
 * ordinary text.
 */
export type Reader = (cursor: Cursor, known: Known, sink: Sink) => Reading<boolean>;

const NAMES = ['name', 'tool_name'];
const ARGUMENTS = ['arguments', 'parameters'];
/** Members of a call that carry no arguments. */
const OTHERS = ['id', 'type', 'tool_call_id', 'index'];

interface Call {
  readonly name: string;
  readonly json: string;
}

/**
 * Reads `{ "name": …, "arguments": … }`, in any order, with other members or nested in
 * `"function"`. Null if it is not a call, as soon as that is known.
 */
function* readCallObject(cursor: Cursor, isName: (name: string) => boolean = Boolean): Reading<Call | null> {
  if (!(yield* cursor.take('{'))) return null;
  let name: string | undefined;
  let json: string | undefined;
  /** Whether it has members that may be arguments. */
  let flat = false;
  do {
    const key = yield* readKey(cursor);
    if (key === null) return null;
    yield* cursor.space();
    if (key === 'function' && (yield* cursor.peek()) === '{') {
      const inner: Call | null = yield* readCallObject(cursor, isName);
      if (!inner || name !== undefined) return null;
      ({ name, json } = inner);
    } else {
      const value = yield* readValue(cursor);
      if (value === null) return null;
      if (NAMES.includes(key) || key === 'function') {
        if (name !== undefined || !value.startsWith('"')) return null;
        name = JSON.parse(value) as string;
        if (!isName(name)) return null;
      } else if (ARGUMENTS.includes(key)) {
        if (json !== undefined) return null;
        json = argumentsOf(value);
      } else flat ||= !OTHERS.includes(key);
    }
    yield* cursor.space();
  } while (yield* cursor.take(','));
  if (!(yield* cursor.take('}')) || !name || (flat && json === undefined)) return null;
  return { name, json: json ?? '{}' };
}

/** Some models write the arguments object as a string. */
function argumentsOf(value: string): string {
  if (value === 'null' || value === '""') return '{}';
  if (!value.startsWith('"')) return value;
  const text = JSON.parse(value) as string;
  return isJsonObject(text) ? text : value;
}

function isJsonObject(text: string): boolean {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

type ReadItem = (cursor: Cursor) => Reading<Call | null>;

/** Reads a list `[…]` of items, or a single one. */
function* readList(cursor: Cursor, sink: Sink, read: ReadItem): Reading<boolean> {
  yield* cursor.space();
  const inList = yield* cursor.take('[');
  let first = true;
  do {
    yield* cursor.space();
    if (!first && (yield* cursor.take(']'))) return true;
    first = false;
    const call = yield* read(cursor);
    if (!call) return false;
    sink.call(call.name, call.json);
    if (!inList) return true;
    yield* cursor.space();
  } while (yield* cursor.take(','));
  return yield* cursor.take(']');
}

/** The marks that can end a section of calls; empty if it has no end mark. */
export type Close = readonly string[];

/**
 * Takes the end of a section; the end of the answer counts too. Some models leave the mark out
 * before the next section, or repeat `open` in its place.
 */
function* readClose(cursor: Cursor, marks: Close, open: string = ''): Reading<boolean> {
  if (marks.length === 0) return true;
  const here = cursor.position;
  yield* cursor.space();
  for (const mark of marks) if (yield* cursor.take(mark)) return true;
  let ends = (yield* cursor.peek()) === '';
  if (open !== '' && (yield* cursor.take(open))) {
    ends = true;
    yield* cursor.space();
    if ((yield* cursor.peek()) === '') return true;
  }
  cursor.back(here);
  return ends;
}

const SEPARATORS = /[\s;,]*/y;

/**
 * Reads calls as objects, in lists or one after the other. `open`: the mark that starts a section.
 */
export function jsonCalls(
  close: Close,
  { open = '', read = readCallObject }: { open?: string; read?: ReadItem } = {},
): Reader {
  return function* (cursor, _, sink) {
    for (;;) {
      yield* cursor.space();
      const inList = (yield* cursor.peek()) === '[';
      if (!(yield* readList(cursor, sink, read))) return false;
      if (inList) return yield* readClose(cursor, close, open);
      const here = cursor.position;
      yield* cursor.takeAll(SEPARATORS);
      if ((yield* cursor.peek()) === '{') continue;
      cursor.back(here);
      return yield* readClose(cursor, close, open);
    }
  };
}

/** A format in which a name is followed by JSON arguments. */
export interface Named {
  /** Comes before each call except the first; may be empty. */
  readonly lead: string;
  /** Matches the text before the arguments; its first group is the name. */
  readonly head: RegExp;
  /** The end of that text. */
  readonly headEnd: string;
  /** Marks that may follow the arguments. */
  readonly tail: readonly string[];
  readonly close: Close;
}

/** Maximum characters of a head. */
const LONGEST_HEAD = 512;

export function namedCalls({ lead, head, headEnd, tail, close }: Named): Reader {
  return function* (cursor, _, sink) {
    do {
      yield* cursor.space();
      yield* cursor.take(lead);
      while (!cursor.rest.includes(headEnd)) {
        if (cursor.ended || cursor.rest.length > LONGEST_HEAD) return false;
        yield;
      }
      const name = head.exec(cursor.advance(cursor.rest.indexOf(headEnd) + headEnd.length))?.[1];
      const json = name === undefined ? null : yield* readValue(cursor);
      if (name === undefined || json === null) return false;
      sink.call(name, argumentsOf(json));
      for (const mark of tail) yield* takeSpaced(cursor, mark);
    } while (lead !== '' && (yield* takeSpaced(cursor, lead)));
    return yield* readClose(cursor, close);
  };
}

/** Takes `mark` and the space before it, or neither. */
export function* takeSpaced(cursor: Cursor, mark: string): Reading<boolean> {
  const here = cursor.position;
  yield* cursor.space();
  if (mark !== '' && (yield* cursor.take(mark))) return true;
  cursor.back(here);
  return false;
}

const NAME = /[^\s<>"]*/y;

/** Reads `<function=name>{…}</function>` after the mark. */
export function* readJsonFunction(cursor: Cursor, _: Known, sink: Sink): Reading<boolean> {
  const name = yield* cursor.takeAll(NAME);
  if (name === '' || !(yield* cursor.take('>'))) return false;
  const json = yield* readValue(cursor);
  if (!json?.startsWith('{')) return false;
  sink.call(name, json);
  return yield* readClose(cursor, ['</function>']);
}

/** Reads `name{…}` of a known function. */
export function* readNameAndJson(cursor: Cursor, known: Known, sink: Sink): Reading<boolean> {
  yield* cursor.space();
  const name = yield* cursor.takeAll(PYTHON_NAME);
  if (!known.has(name)) return false;
  const json = yield* readValue(cursor);
  if (!json?.startsWith('{')) return false;
  sink.call(name, json);
  return true;
}

/** Reads `<function name="name">{…}</function>` after the mark. */
export function* readNamedFunction(cursor: Cursor, known: Known, sink: Sink): Reading<boolean> {
  const name = yield* cursor.takeAll(NAME);
  if (!known.has(name) || !(yield* cursor.take('">'))) return false;
  const json = yield* readValue(cursor);
  if (!json?.startsWith('{')) return false;
  sink.call(name, json);
  return yield* readClose(cursor, ['</function>']);
}

/** Reads calls of known functions in a tag that may contain other text. */
export function knownCalls(close: Close): Reader {
  return function* (cursor, known, sink) {
    const read: ReadItem = (cursor) => readCallObject(cursor, known.has);
    return yield* jsonCalls(close, { read })(cursor, known, sink);
  };
}

function* readPythonItem(cursor: Cursor): Reading<Call | null> {
  const call = yield* readPythonCall(cursor);
  return call && { name: call.name, json: call.arguments };
}

/** Reads `name(key="value")`, in a list or one per line, or objects. */
export function pythonCalls(close: Close): Reader {
  return function* (cursor, known, sink) {
    yield* cursor.space();
    const here = cursor.position;
    if (yield* cursor.take('[')) yield* cursor.space();
    const isObject = (yield* cursor.peek()) === '{';
    cursor.back(here);
    if (isObject) return yield* jsonCalls(close)(cursor, known, sink);
    do {
      if (!(yield* readList(cursor, sink, readPythonItem))) return false;
    } while (!(yield* readClose(cursor, close)));
    return true;
  };
}

/**
 * Reads calls of Llama 3's built-in tools, `brave_search.call(query="…")`, and of known functions.
 * Other code is not a call.
 */
export function* readPythonTag(cursor: Cursor, known: Known, sink: Sink): Reading<boolean> {
  yield* cursor.space();
  if ((yield* cursor.peek()) === '{') return yield* jsonCalls([])(cursor, known, sink);
  const call = yield* readPythonCall(cursor);
  if (!call) return false;
  const name = call.name.endsWith('.call') ? call.name.slice(0, -'.call'.length) : call.name;
  if (name === call.name && !known.has(name)) return false;
  sink.call(name, call.arguments);
  return true;
}

/** Apertus: `[{"name": {…}}]`. */
export function* readKeyedCall(cursor: Cursor): Reading<Call | null> {
  if (!(yield* cursor.take('{'))) return null;
  const name = yield* readKey(cursor);
  const json = name === null ? null : yield* readValue(cursor);
  yield* cursor.space();
  return name && json && (yield* cursor.take('}')) ? { name, json } : null;
}

/** Small models often put a call in a code block. */
const FENCE = '```';
const FENCED = ['json', 'tool_call', 'tool_code', 'python'];

/** First keys of a bare object that is a call. */
const FIRST_KEYS = ['"name"', '"type"', '"function"', '"parameters"', '"arguments"'];

/**
 * Reads calls without a mark, of known functions, up to the end of the line: Llama 3 and 4, xLAM.
 */
export function* readBare(cursor: Cursor, known: Known, sink: Sink): Reading<boolean> {
  yield* cursor.space();
  const fenced = yield* cursor.take(FENCE);
  if (fenced) {
    yield* takeAny(cursor, FENCED);
    yield* cursor.space();
  }
  const here = cursor.position;
  const inList = yield* cursor.take('[');
  if (inList) yield* cursor.space();
  const isObject = yield* cursor.take('{');
  if (isObject) {
    yield* cursor.space();
    if (!(yield* takeAny(cursor, FIRST_KEYS))) return false;
  } else if (!(inList || fenced) || !known.has(yield* cursor.takeAll(PYTHON_NAME))) return false;
  cursor.back(here);
  const readObject: ReadItem = (cursor) => readCallObject(cursor, known.has);
  const read = isObject ? jsonCalls([], { read: readObject }) : pythonCalls([]);
  let all = true;
  const checked: Sink = {
    call(name, json) {
      all &&= known.has(name);
      sink.call(name, json);
    },
  };
  if (!(yield* read(cursor, known, checked)) || !all) return false;
  if (fenced && !(yield* takeSpaced(cursor, '```'))) return false;
  const behind = cursor.position;
  yield* cursor.takeAll(/[^\S\n]*/y);
  const next = yield* cursor.peek();
  cursor.back(behind);
  // a mark of the format or a line of text may follow
  return ['', '\n', '<'].includes(next);
}

function* takeAny(cursor: Cursor, texts: readonly string[]): Reading<boolean> {
  for (const text of texts) if (yield* cursor.take(text)) return true;
  return false;
}
