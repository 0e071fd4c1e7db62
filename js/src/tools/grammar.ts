/**
 * The grammar of an answer with tools: calls in the format of the model's template, with arguments
 * that fit their schemas, or text. The format's reader reads everything that it allows.
 */

import type { Constraint, ToolChoice, ToolDescription } from '../types/index.js';
import type { Form, Written } from './form.js';
import { formOf, KEPT_TOKENS, MARKS } from './forms.js';
import { mustCall } from './options.js';
import { CallReader, knownTools } from './reader.js';
import { plainKeys, plainValue, schemaOf, standalone, type PlainValue, type Schema } from './schema.js';
import type { Tags } from './tagged.js';

/** The parts of the model that the grammar needs. */
export interface Vocabulary {
  /** The special token with this name, which no text contains. */
  special_id(name: string): number | undefined;
}

export interface Asked {
  readonly tools: readonly ToolDescription[] | null;
  readonly choice: ToolChoice;
  /** Whether several calls are allowed. */
  readonly parallel: boolean;
  /** The constraint on an answer without calls, as JSON; null if there is none. */
  readonly constraint: string | null;
}

/** A constraint that only the package can give to the grammar module. */
interface Composed {
  readonly composed: { readonly lark: string; readonly parts: Readonly<Record<string, Constraint>> };
}

/** Returns the constraint on the whole answer, as JSON; null if there is none. */
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

/** The schema of the arguments object, without properties that it does not name. */
function argumentsOf({ function: { parameters } }: ToolDescription): Schema {
  if (!parameters) return { type: 'object', additionalProperties: false };
  const closed = 'properties' in parameters ? { additionalProperties: false } : {};
  return { ...closed, ...parameters, type: 'object' };
}

/** Maximum number of calls: small models repeat calls as long as they can. */
const MOST_CALLS = 8;

/** Any arguments. */
const ANY_ARGUMENTS: Schema = { type: 'object' };

/** Comes before calls of a format without a mark, if other answers are JSON too. */
const MARKED_BARE = '<|python_tag|>';

/** Matches the start of a call without a mark. `NAMES` are the names of the tools. */
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
  /** Special tokens of calls, and how the grammar refers to them. */
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
    // if one tool's arguments need JSON, all calls are JSON
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

  /** Rules for text with calls in it. */
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

  /** A rule for text without any of `marks`. */
  #text(name: string, often: '*' | '+', marks: readonly string[]): string {
    const plain = marks.filter((mark) => this.#split(mark).every((part) => !this.#special.has(part)));
    // text hardly needs the common start of most marks, and a short expression is fast
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

  /** Rules for calls after the `mark` that starts them. */
  #section(mark: string): string {
    const { begin, between, end } = this.#written;
    const first = this.#calls('first', begin, mark);
    const next = this.#several ? `${this.#terms(between ?? '')} ${this.#calls('next', '', '')}` : '';
    const more = next && ` (${next}){0,${MOST_CALLS - 1}}`;
    return `${first}${more} ${this.#terms(end)}`;
  }

  /** Rules for one call of any tool, after `begin` less `without`. */
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

  /** The rule for the arguments of a tool. */
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
    // the first call and later ones share it
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

  /** Rules for a string without quotes and the text that ends it. */
  #plainText(tags: Tags, close: string): void {
    const { padding } = tags;
    const body = `~/(?s:.*)(${endings(tags).map(escape).join('|')})(?s:.*)/`;
    if (!this.#split(close).some((part) => this.#special.has(part))) {
      this.#rules.push(`PLAIN: /(?s:.*)/ & ${body}`, `ended[suffix=${JSON.stringify(close)}]: PLAIN`, 'plain: ended');
      return;
    }
    // Text cannot contain the special token that ends it. The padding before the token is part of
    // the match: the text is greedy and would leave nothing of it.
    const any = padding === '' ? '/(?s:.+)/' : `/(?s:.*)${escape(padding)}/`;
    this.#rules.push(`PLAIN: ${any} & ${body}`);
    this.#rules.push(`plain: PLAIN${padding === '' ? '?' : ''} ${this.#terms(close.slice(padding.length))}`);
  }

  /** Rules for `key=value` arguments separated by commas, some of them optional. */
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

  /** Splits a text at its special tokens. */
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

/** Name of a tool's rule, also in errors: letters, digits and underscores. */
const partOf = ({ function: { name } }: ToolDescription, i: number) => `arguments_of_${name.replace(/\W/g, '_')}_${i}`;

/** The text before and after the value of an argument. */
function aroundValue({ key, value, padding }: Tags, name: string, isJson: boolean): [string, string] {
  const keyClose = isJson ? key[1].replace('"true"', '"false"') : key[1];
  const before = value[0] && `\n${value[0]}`;
  return [`${key[0]}${name}${keyClose}${before}${padding}`, `${padding}${value[1]}\n`];
}

/** Marks that unquoted text must not contain, or it would be read differently. */
function endings({ value, end, section }: Tags): string[] {
  return [value[1], end || (section?.[1] ?? '')].filter((mark) => mark !== '');
}

/**
 * Whether the format can write all arguments that fit a tool's schema so that they are read back.
 */
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

/** Splits a text at a name, and keeps the names. */
function splitAt(text: string, name: string): string[] {
  return text.split(name).flatMap((part, i) => (i === 0 ? [part] : [name, part]));
}
