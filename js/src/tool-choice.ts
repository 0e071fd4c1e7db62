/** Answers that are calls of tools, as grammars: in the form in which the model's own template has calls, with arguments that fit. */

import { KEPT_TOKENS } from './tool-formats.js';
import type { RuntimeLlm } from './runtime.js';
import type { ToolChoice, ToolDescription } from './types.js';

/** How a call is written. */
interface CallForm {
  /** Tells of a template that its model writes calls so. */
  readonly has: readonly string[];
  /** What every call begins with, and text does not have; empty where a call is bare JSON. */
  readonly mark: string;
  /** What stands between the mark and the arguments. `name`: as it stands in JSON. */
  open(name: string): string;
  readonly close: string;
}

/** Hermes, Qwen, SmolLM 3; and whoever is told of it, since the template has no form, or none that is JSON. */
const TAGGED: CallForm = {
  has: ['<tool_call>'],
  mark: '<tool_call>',
  open: (name) => `\n{"name": "${name}", "arguments": `,
  close: '}\n</tool_call>',
};

/** The first of which the template has all is its form. */
const FORMS: readonly CallForm[] = [
  {
    has: ['<｜tool▁sep｜>', '```json'],
    mark: '<｜tool▁calls▁begin｜>',
    open: (name) => `<｜tool▁call▁begin｜>function<｜tool▁sep｜>${name}\n\`\`\`json\n`,
    close: '\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  },
  {
    has: ['<｜tool▁sep｜>'],
    mark: '<｜tool▁calls▁begin｜>',
    open: (name) => `<｜tool▁call▁begin｜>${name}<｜tool▁sep｜>`,
    close: '<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  },
  {
    has: ['<|channel|>', '<|message|>'],
    mark: '<|channel|>',
    open: (name) => `commentary to=functions.${name} <|constrain|>json<|message|>`,
    close: '',
  },
  { has: ['[TOOL_CALLS]', '[ARGS]'], mark: '[TOOL_CALLS]', open: (name) => `${name}[ARGS]`, close: '' },
  {
    has: ['[TOOL_CALLS]'],
    mark: '[TOOL_CALLS]',
    open: (name) => `[{"name": "${name}", "arguments": `,
    close: '}]',
  },
  {
    has: ['<|tool_call|>', '<|/tool_call|>'],
    mark: '<|tool_call|>',
    open: (name) => `[{"name": "${name}", "arguments": `,
    close: '}]<|/tool_call|>',
  },
  {
    has: ['<|tool_call|>'],
    mark: '<|tool_call|>',
    open: (name) => `[{"name": "${name}", "arguments": `,
    close: '}]',
  },
  TAGGED,
  // Llama 3: its template shows the model what to write
  { has: ['{"name": ', '"parameters": '], mark: '', open: (name) => `{"name": "${name}", "parameters": `, close: '}' },
];

/** JSON as Python writes it, which is how models were shown it. */
const PLAIN_SPACES = { whitespace_flexible: false, item_separator: ', ', key_separator: ': ' };

/**
 * A grammar of the answers that `choice` leaves; null where that is all of them. With `auto` anything may be said, and calls are those of a
 * grammar where a tool is `strict`.
 */
export function callGrammar(
  llm: RuntimeLlm,
  template: string,
  tools: readonly ToolDescription[],
  choice: ToolChoice,
): string | null {
  if (choice === 'none' || (choice === 'auto' && !tools.some(isStrict))) return null;
  const { mark, open, close } = FORMS.find(({ has }) => has.every((text) => template.includes(text))) ?? TAGGED;
  const chosen = typeof choice === 'object' ? tools.filter((tool) => tool.function.name === choice.name) : tools;
  const special = specialTokens(llm);
  const calls = chosen.map((tool, i) => {
    const name = JSON.stringify(tool.function.name).slice(1, -1);
    return `call${i}: ${[...terms(open(name), special), `args${i}`, ...terms(close, special)].join(' ')}`;
  });
  const schemas = chosen.map((tool, i) => {
    const schema = choice === 'auto' && !isStrict(tool) ? { type: 'object' } : argumentsOf(tool);
    return `args${i}: %json ${JSON.stringify({ ...schema, 'x-guidance': PLAIN_SPACES })}`;
  });
  const answer =
    choice === 'auto' ? anything(mark, special) : [`start: ${[...terms(mark, special), 'call'].join(' ')}`];
  return [...answer, `call: ${calls.map((_, i) => `call${i}`).join(' | ')}`, ...calls, ...schemas].join('\n');
}

const isStrict = ({ function: { strict } }: ToolDescription) => strict === true;

/** What is not said to be an argument is none. */
function argumentsOf({ function: { parameters } }: ToolDescription): object {
  if (!parameters) return { type: 'object', additionalProperties: false };
  const closed = 'properties' in parameters ? { additionalProperties: false } : {};
  return { type: 'object', ...closed, ...parameters };
}

/** Text with calls in it. */
function anything(mark: string, special: ReadonlyMap<string, string>): string[] {
  if (mark === '') return ['start: (TEXT | call)?', 'TEXT: /[^{](?s:.*)/'];
  const token = special.get(mark);
  // no text has a special token
  if (token) return [`start: (TEXT? ${token} call)* TEXT?`, 'TEXT: /(?s:.+)/'];
  return [
    'start: (before call)* TEXT?',
    `before[suffix=${JSON.stringify(mark)}]: /(?s:.*)/`,
    `TEXT: /(?s:.+)/ & ~/(?s:.*)${escape(mark)}(?s:.*)/`,
  ];
}

const escape = (text: string) => text.replace(/[|[\]{}()*+?.^$\\/]/g, '\\$&');

/** Tokens that no text has, of those that calls are written with: name → what a grammar calls it. */
function specialTokens(llm: RuntimeLlm): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of KEPT_TOKENS) {
    const [id, ...more] = llm.tokenize(name, false, true);
    const [plain] = llm.tokenize(name, false, false);
    if (id !== undefined && more.length === 0 && plain !== id) found.set(name, `<[${id}]>`);
  }
  return found;
}

/** A text as terms of a grammar. */
function terms(text: string, special: ReadonlyMap<string, string>): string[] {
  let parts = [text];
  for (const name of special.keys()) {
    parts = parts.flatMap((part) => (special.has(part) ? [part] : splitAt(part, name)));
  }
  return parts.filter((part) => part !== '').map((part) => special.get(part) ?? JSON.stringify(part));
}

/** With the `name`s between. */
function splitAt(text: string, name: string): string[] {
  return text.split(name).flatMap((part, i) => (i === 0 ? [part] : [name, part]));
}
