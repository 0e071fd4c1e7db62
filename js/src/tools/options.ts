/** Checks what a caller says of tools: names the option, what it should be and what it is. */

import { invalidOption } from '../common/errors.js';
import { jsonSchemaOf } from '../common/json-schema.js';
import type { ToolChoice, ToolDescription } from '../types/index.js';

/** What stands in no form between names and their arguments; OpenAI's servers take fewer. */
export const NAME: RegExp = /^[\p{L}\p{M}\p{N}_.:/@-]{1,128}$/u;

/** The tools, with the JSON Schema of what a library's object describes. */
export function checkTools(tools: unknown): readonly ToolDescription[] {
  if (!Array.isArray(tools)) {
    throw invalidOption('tools', "an array of { type: 'function', function: { name, … } }", tools);
  }
  return (tools as readonly (Partial<ToolDescription> | null)[]).map((tool, index): ToolDescription => {
    const at = `tools[${index}]`;
    const type: string = tool?.type ?? 'function';
    if (type !== 'function') throw invalidOption(`${at}.type`, "'function'; weft has nothing else", type);
    const { name, parameters } = (tool?.function ?? {}) as Partial<ToolDescription['function']>;
    if (typeof name !== 'string' || !NAME.test(name)) {
      const isFlat = name === undefined && typeof (tool as { name?: unknown } | null)?.name === 'string';
      const expected = isFlat
        ? 'the name there and not beside it: { name, description, parameters } stand in `function`'
        : 'a name of at most 128 letters, digits and characters among _ - . : / @';
      throw invalidOption(`${at}.function.name`, expected, name);
    }
    if (parameters == null) return tool as ToolDescription;
    const schema: unknown = jsonSchemaOf(`${at}.function.parameters`, parameters);
    if (typeof schema === 'boolean') {
      throw invalidOption(`${at}.function.parameters`, 'a JSON Schema, which is an object', parameters);
    }
    return { ...tool, function: { ...tool?.function, parameters: schema } } as ToolDescription;
  });
}

/** `option`: what the caller calls it. */
export function checkToolChoice(
  option: string,
  names: readonly string[],
  choice: ToolChoice,
  expected: string,
): ToolChoice {
  if (choice === 'auto' || choice === 'none' || (choice === 'required' && names.length > 0)) return choice;
  if (typeof choice === 'object' && choice !== null) {
    if ('name' in choice && names.includes(choice.name)) return { name: choice.name };
    const { allowed, required = false } = choice as Partial<Extract<ToolChoice, { allowed: unknown }>>;
    const known = Array.isArray(allowed) && allowed.length > 0 && allowed.every((name) => names.includes(name));
    if (known && typeof required === 'boolean') return { allowed: [...allowed], required };
  }
  const got = typeof choice === 'object' ? JSON.stringify(choice) : choice;
  const known = names.length > 0 ? `; the tools are ${names.join(', ')}` : '; there are no tools';
  throw invalidOption(option, `${expected}${known}`, got);
}

/** Whether the answer is a call. */
export function mustCall(choice: ToolChoice): boolean {
  if (typeof choice === 'string') return choice === 'required';
  return 'name' in choice || choice.required === true;
}

/** What is known beforehand of the calls in an answer. */
export interface CallRules {
  /** How many there may be. */
  readonly most?: number;
  /** Whether text and calls may mix; else an answer is calls, or text, as a whole. Default true. */
  readonly mixed?: boolean;
}

/**
 * `constrained`: whether text must fit a constraint. Such text may look like a call, or have one in
 * a string.
 */
export function callRules(choice: ToolChoice, parallel: boolean, constrained: boolean): CallRules {
  return { most: parallel ? Infinity : 1, mixed: !constrained || mustCall(choice) };
}
