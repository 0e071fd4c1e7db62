/** Checks options about tools. Errors name the option, what it should be and what it is. */

import { invalidOption } from '../common/errors.js';
import { jsonSchemaOf } from '../common/json-schema.js';
import type { ToolChoice, ToolDescription } from '../types/index.js';

/**
 * Names of tools: characters that no format uses between a name and its arguments. OpenAI's servers
 * allow fewer.
 */
export const NAME: RegExp = /^[\p{L}\p{M}\p{N}_.:/@-]{1,128}$/u;

/** Returns the tools with plain JSON Schemas in place of schema objects of libraries. */
export function checkTools(tools: unknown): readonly ToolDescription[] {
  if (!Array.isArray(tools)) {
    throw invalidOption('tools', "an array of { type: 'function', function: { name, … } }", tools);
  }
  return Array.from(tools as readonly (Partial<ToolDescription> | null)[], (tool, index): ToolDescription => {
    const at = `tools[${index}]`;
    const type: string = tool?.type ?? 'function';
    if (type !== 'function') throw invalidOption(`${at}.type`, "'function', the only type that weft supports", type);
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

/** `option`: its name in the caller's API. */
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

/** Whether the answer must be a call. */
export function mustCall(choice: ToolChoice): boolean {
  if (typeof choice === 'string') return choice === 'required';
  return 'name' in choice || choice.required === true;
}

/** What is known in advance of the calls in an answer. */
export interface CallRules {
  /** Maximum number of calls. */
  readonly most?: number;
  /**
   * Whether text and calls can mix; otherwise an answer is only calls or only text. Default true.
   */
  readonly mixed?: boolean;
}

/**
 * `constrained`: whether text must fit a constraint. Such text can look like a call or contain one
 * in a string.
 */
export function callRules(choice: ToolChoice, parallel: boolean, constrained: boolean): CallRules {
  return { most: parallel ? Infinity : 1, mixed: !constrained || mustCall(choice) };
}
