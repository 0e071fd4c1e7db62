/**
 * The grammar of an answer where there are tools: calls in the form of the model's template, with
 * arguments that fit their schemas, or text. The reader of the form reads back all that it allows.
 */

import type { Constraint, ToolChoice, ToolDescription } from '../types/index.js';
import { formOf, KEPT_TOKENS, MARKS, type Form, type Written } from './forms.js';
import { mustCall } from './options.js';
import { CallReader, knownTools } from './reader.js';
import { plainKeys, plainValue, schemaOf, standalone, type PlainValue, type Schema } from './schema.js';
import type { Tags } from './tagged.js';

/** What the grammar needs of the model. */
export interface Vocabulary {
  /** The special token with this name, which no text has. */
  special_id(name: string): number | undefined;
}

export interface Asked {
  readonly tools: readonly ToolDescription[] | null;
  readonly choice: ToolChoice;
  /** Whether there may be several calls. */
  readonly parallel: boolean;
  /** The constraint of an answer that is no call, as JSON; null if there is none. */
  readonly constraint: string | null;
}

/** A constraint of the grammar module that callers cannot give. */
interface Composed {
  readonly composed: { readonly lark: string; readonly parts: Readonly<Record<string, Constraint>> };
}

/** The constraint of the whole answer, as JSON; null if there is none. */
export function answerConstraint(vocabulary: Vocabulary, template: string, asked: Asked): string | null {
  const { tools, choice, constraint } = asked;
  if (!tools || choice === 'none') return constraint;
  const chosen = tools.filter(({ function: { name } }) => isChosen(choice, name));
  const all = chosen.length === tools.length;
  if (!mustCall(choice) && all && !constraint && !chosen.some(isStrict)) return null;
  return JSON.stringify(new CallGrammar(vocabulary, formOf(template), chosen, asked).compose());
}

function isChosen(choice: ToolChoice, name: string): boolean {
  if (typeof choice === 'string') return true;
  return 'name' in choice ? choice.name === name : choice.allowed.includes(name);
}

const isStrict = ({ function: { strict } }: ToolDescription) => strict === true;

/** The schema of the arguments, which are an object, without any that it does not name. */
function argumentsOf({ function: { parameters } }: ToolDescription): Schema {
  if (!parameters) return { type: 'object', additionalProperties: false };
  const closed = 'properties' in parameters ? { additionalProperties: false } : {};
  return { ...closed, ...parameters, type: 'object' };
}

/** Small models repeat calls for as long as they may. */
const MOST_CALLS = 8;

/** A call may have any arguments. */
const ANY_ARGUMENTS: Schema = { type: 'object' };

/** Stands before calls of a form without a mark, where an answer is JSON too. */
const MARKED_BARE = '<|python_tag|>';

/** The beginning of what is read as a call without a mark. `NAMES` are those of the tools. */
const BEGINS_BARE =
  String.raw`[ \t\n\r]*(FENCE(NAMES)\(|(FENCE)?\[[ \t\n\r]*(NAMES)\(|(FENCE)?(\[[ \t\n\r]*)?\{[ \t\n\r]*"(name|type|function|parameters|arguments)")`.replaceAll(
    'FENCE',
    '```(json|tool_call|tool_code|python)?[ \\t\\n\\r]*',
  );

class CallGrammar {
  readonly #asked: Asked;
  readonly #tools: readonly ToolDescription[];
  readonly #form: Form;
  readonly #written: Written;
  /** Special tokens of calls, which no text has: name → how the grammar refers to it. */
  readonly #special: ReadonlyMap<string, string>;
  readonly #rules: string[] = [];
  readonly #parts: Record<string, Constraint> = {};

  constructor(
    vocabulary: Vocabulary,
    form: Form & { written: Written },
    tools: readonly ToolDescription[],
    asked: Asked,
  ) {
    this.#asked = asked;
    this.#tools = tools;
    this.#form = form;
    this.#special = specialTokens(vocabulary);
    const { written } = form;
    // where one tool's arguments need JSON, all calls are JSON
    this.#written = tools.every((tool) => canWrite(form, tool)) ? written : { ...written, ...written.json };
  }

  compose(): Composed {
    const { choice, constraint } = this.#asked;
    const bare = this.#form.marks.length === 0;
    const { lead = '' } = this.#written;
    const optionalLead = lead && `(${this.#terms(lead)})? `;
    const prose = this.#form.prose?.map((text) => this.#terms(text)).join(' | ');
    const begin = prose === undefined ? '' : `(${prose})? `;
    if (mustCall(choice)) {
      this.#rules.push(`start: ${optionalLead}${this.#section('')}`);
    } else if (constraint !== null) {
      this.#parts['answer'] = JSON.parse(constraint) as Constraint;
      const mark = bare ? `${this.#terms(MARKED_BARE)} ` : '';
      this.#rules.push(`start: ${begin}@answer | ${optionalLead}${mark}${this.#section('')}`);
    } else if (bare) {
      this.#rules.push(`start: (TEXT | ${this.#section('')})?`, this.#text('TEXT', '+', MARKS));
    } else {
      this.#rules.push(...this.#anything(optionalLead, begin));
    }
    return { composed: { lark: this.#rules.join('\n'), parts: this.#parts } };
  }

  /** Text with calls in it. */
  #anything(lead: string, begin: string): string[] {
    const [mark = ''] = this.#form.marks;
    const [first = '', ...behind] = this.#split(mark);
    const often = this.#several ? '*' : '?';
    const token = this.#special.get(first);
    if (token) {
      const rest = this.#section(first);
      return [`start: ${begin}(TEXT? ${lead}${token} ${rest})${often} TEXT?`, this.#text('TEXT', '+', MARKS)];
    }
    const marked = [first, ...behind].join('');
    return [
      `start: ${begin}(before ${this.#section(marked)})${often} TEXT?`,
      `before[suffix=${JSON.stringify(marked)}]: BODY`,
      this.#text(
        'BODY',
        '*',
        MARKS.filter((other) => other !== marked),
      ),
      this.#text('TEXT', '+', MARKS),
    ];
  }

  /** A rule of text that has none of `marks`. */
  #text(name: string, often: '*' | '+', marks: readonly string[]): string {
    const plain = marks.filter((mark) => this.#split(mark).every((part) => !this.#special.has(part)));
    // text has no need of what most of them begin with, and a short expression is a quick one
    const found = [...new Set(plain.map((mark) => escape(/^<[|｜]/.exec(mark)?.[0] ?? mark)))].join('|');
    const names = (this.#asked.tools ?? []).map((tool) => escape(tool.function.name)).join('|');
    const bare = BEGINS_BARE.replaceAll('NAMES', () => names);
    return `${name}: /(?s:.${often})/ & ~/((?s:.*)(${found})|${bare})(?s:.*)/`;
  }

  get #several(): boolean {
    const { choice, parallel } = this.#asked;
    const named = typeof choice === 'object' && 'name' in choice;
    return parallel && !named && this.#written.between !== null;
  }

  /** Calls, without the `mark` that they begin with. */
  #section(mark: string): string {
    const { begin, between, end } = this.#written;
    const first = this.#calls('first', begin, mark);
    const next = this.#several ? `${this.#terms(between ?? '')} ${this.#calls('next', '', '')}` : '';
    const more = next && ` (${next}){0,${MOST_CALLS - 1}}`;
    return `${first}${more} ${this.#terms(end)}`;
  }

  /** One call of any of the tools, behind `begin` but for what is left out of it. */
  #calls(rule: string, begin: string, without: string): string {
    const names = this.#tools.map((tool, i) => {
      const open = `${begin}${this.#written.open(escapedName(tool))}`.slice(without.length);
      const call = [this.#terms(open), this.#arguments(tool, i), this.#terms(this.#written.close)];
      this.#rules.push(`${rule}${i}: ${call.join(' ')}`);
      return `${rule}${i}`;
    });
    this.#rules.push(`${rule}: ${names.join(' | ')}`);
    return rule;
  }

  /** What stands for the arguments of a tool. */
  #arguments(tool: ToolDescription, i: number): string {
    const rule = `args${i}`;
    const part = partOf(tool, i);
    const { args } = this.#written;
    if (args === 'json') {
      const { choice, constraint } = this.#asked;
      const free = !mustCall(choice) && constraint === null && !isStrict(tool);
      this.#parts[part] = { jsonSchema: free ? ANY_ARGUMENTS : argumentsOf(tool) };
      return `@${part}`;
    }
    // of the first call and of those behind it they are the same
    if (this.#rules.some((other) => other.startsWith(`${rule}: `))) return rule;
    const root = argumentsOf(tool);
    const keys = plainKeys(root) ?? [];
    if (args === 'python') this.#python(rule, part, root, keys);
    else this.#tags(rule, part, args, root, keys);
    return rule;
  }

  #tags(rule: string, part: string, tags: Tags, root: Schema, keys: Keys): void {
    const names = keys.map(([key, required], i) => {
      const name = `${rule}_${i}`;
      const value = plainValue(root, key) as PlainValue;
      const [open, close] = aroundValue(tags, key, value.type === 'json');
      const line = [this.#terms(open), this.#value(`${part}_${i}`, tags, value, close)];
      this.#rules.push(`${name}: ${line.join(' ')}`);
      return required ? name : `${name}?`;
    });
    this.#rules.push(`${rule}: ${names.join(' ') || '""'}`);
  }

  #value(part: string, tags: Tags, value: PlainValue, close: string): string {
    if (value.type === 'json') {
      this.#parts[part] = { jsonSchema: value.schema };
      return `@${part} ${this.#terms(close)}`;
    }
    if (value.type === 'choice') {
      return `(${value.texts.map((text) => JSON.stringify(text)).join(' | ')}) ${this.#terms(close)}`;
    }
    if (!this.#rules.some((rule) => rule.startsWith('plain: '))) this.#plainText(tags, close);
    return 'plain';
  }

  /** A string without quotes, and what stands behind it. */
  #plainText(tags: Tags, close: string): void {
    const { padding } = tags;
    const body = `~/(?s:.*)(${endings(tags).map(escape).join('|')})(?s:.*)/`;
    if (!this.#split(close).some((part) => this.#special.has(part))) {
      this.#rules.push(`PLAIN: /(?s:.*)/ & ${body}`, `ended[suffix=${JSON.stringify(close)}]: PLAIN`, 'plain: ended');
      return;
    }
    // No text has the token, which ends it. The padding before the token belongs to the text, which
    // takes all that it can and would leave nothing of it.
    const any = padding === '' ? '/(?s:.+)/' : `/(?s:.*)${escape(padding)}/`;
    this.#rules.push(`PLAIN: ${any} & ${body}`);
    this.#rules.push(`plain: PLAIN${padding === '' ? '?' : ''} ${this.#terms(close.slice(padding.length))}`);
  }

  /** `key=value`s with commas between, of which some need not be there. */
  #python(rule: string, part: string, root: Schema, keys: Keys): void {
    const last = keys.length;
    const item = (i: number) => {
      const [key = ''] = keys[i] ?? [];
      this.#parts[`${part}_${i}`] = { jsonSchema: standalone(root, schemaOf(root, key) ?? true) };
      return `${JSON.stringify(`${key}=`)} @${part}_${i} ${rule}_rest${i + 1}`;
    };
    for (const [i, [, required]] of keys.entries()) {
      const skip = (name: string) => (required ? '' : ` | ${name}${i + 1}`);
      this.#rules.push(`${rule}_first${i}: ${item(i)}${skip(`${rule}_first`)}`);
      this.#rules.push(`${rule}_rest${i}: ", " ${item(i)}${skip(`${rule}_rest`)}`);
    }
    this.#rules.push(`${rule}_first${last}: ""`, `${rule}_rest${last}: ""`, `${rule}: ${rule}_first0`);
  }

  /** A text as terms of a grammar. */
  #terms(text: string): string {
    return this.#split(text)
      .map((part) => this.#special.get(part) ?? JSON.stringify(part))
      .join(' ');
  }

  /** A text at its special tokens. */
  #split(text: string): string[] {
    let parts = [text];
    for (const name of this.#special.keys()) {
      parts = parts.flatMap((part) => (this.#special.has(part) ? [part] : splitAt(part, name)));
    }
    return parts.filter((part) => part !== '');
  }
}

type Keys = readonly (readonly [key: string, required: boolean])[];

const escapedName = ({ function: { name } }: ToolDescription) => JSON.stringify(name).slice(1, -1);
const escape = (text: string) => text.replace(/[|[\]{}()*+?.^$\\/]/g, '\\$&').replaceAll('\n', '\\n');

/** Names a tool's part, also in errors: letters, digits and underscores. */
const partOf = ({ function: { name } }: ToolDescription, i: number) => `arguments_of_${name.replace(/\W/g, '_')}_${i}`;

/** What stands before and behind an argument's value. */
function aroundValue({ key, value, padding }: Tags, name: string, isJson: boolean): [string, string] {
  const keyClose = isJson ? key[1].replace('"true"', '"false"') : key[1];
  const before = value[0] && `\n${value[0]}`;
  return [`${key[0]}${name}${keyClose}${before}${padding}`, `${padding}${value[1]}\n`];
}

/** What a plain text must not have to be read back. */
function endings({ value, end, section }: Tags): string[] {
  return [value[1], end || (section?.[1] ?? '')].filter((mark) => mark !== '');
}

/** Whether all that fits a tool's schema can be written as the form has it, and is read back. */
function canWrite({ written }: Form, tool: ToolDescription): boolean {
  if (!written || written.args === 'json') return true;
  const { args } = written;
  const root = argumentsOf(tool);
  const keys = plainKeys(root);
  if (!keys) return false;
  if (args === 'python') return keys.every(([key]) => /^[\p{L}_][\p{L}\p{N}_]*$/u.test(key));
  return keys.every(([key]) => {
    const value = plainValue(root, key);
    if (!value || !/^[^\s<>"=](?:[^<>"\n]*[^\s<>"])?$/.test(key)) return false;
    return value.type !== 'choice' || value.texts.every((text) => readsBack(written, args, tool, key, text));
  });
}

function readsBack(written: Written, tags: Tags, tool: ToolDescription, key: string, text: string): boolean {
  const [open, close] = aroundValue(tags, key, false);
  const { begin, end } = written;
  const call = `${begin}${written.open(tool.function.name)}${open}${text}${close}${written.close}${end}`;
  const reader = new CallReader(knownTools([tool]));
  const [part, ...more] = [...reader.push(call), ...reader.end()];
  if (part?.type !== 'call' || more.length > 0) return false;
  const value = (JSON.parse(part.arguments) as Record<string, unknown>)[key];
  return text === (typeof value === 'string' ? value : JSON.stringify(value));
}

function specialTokens(vocabulary: Vocabulary): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of KEPT_TOKENS) {
    const id = vocabulary.special_id(name);
    if (id !== undefined) found.set(name, `<[${id}]>`);
  }
  return found;
}

/** With the `name`s between. */
function splitAt(text: string, name: string): string[] {
  return text.split(name).flatMap((part, i) => (i === 0 ? [part] : [name, part]));
}
