/**
 * Tools of a session: functions of the page that the model calls and that are run automatically.
 */

import { unlessAborted } from '../common/signals.js';
import { callRules, NAME } from '../tools/options.js';
import { ToolParser } from '../tools/parser.js';
import type { Message, ToolDescription } from '../types/index.js';
import { unsupported } from './errors.js';
import type { LanguageModelTool } from './types.js';

/** Maximum rounds of calls in one answer, against models that call without end. */
const MOST_ROUNDS = 16;

interface Call {
  readonly id: string;
  /** `arguments` is the JSON that the model wrote. */
  readonly function: { readonly name: string; readonly arguments: string };
}

export class Tools {
  readonly descriptions: readonly ToolDescription[];
  readonly #execute = new Map<string, LanguageModelTool['execute']>();

  /** Throws the API's errors for malformed tools. */
  constructor(tools: unknown = []) {
    if (!isIterable(tools)) throw new TypeError('`tools` is a list');
    this.descriptions = Array.from(tools, (tool, index): ToolDescription => {
      const { name, description, inputSchema, execute } = Object(tool) as Partial<LanguageModelTool>;
      const at = `tool ${index}`;
      if (typeof name !== 'string' || name === '') throw new TypeError(`${at}: its \`name\` is a string`);
      if (!NAME.test(name)) throw unsupported(`${at}: a name of other than letters, digits and _ - . : / @`);
      if (this.#execute.has(name)) throw new TypeError(`${at}: there is a tool ${name} already`);
      if (typeof description !== 'string') throw new TypeError(`${at}: its \`description\` is a string`);
      if (typeof inputSchema !== 'object' || inputSchema === null) {
        throw new TypeError(`${at}: its \`inputSchema\` is a JSON Schema`);
      }
      if (execute === undefined) throw unsupported(`${at} without \`execute\`: calls are always made for the page`);
      if (typeof execute !== 'function') throw new TypeError(`${at}: its \`execute\` is a function`);
      this.#execute.set(name, execute);
      return { type: 'function', function: { name, description, parameters: { ...inputSchema } } };
    });
  }

  /**
   * Returns a parser that takes the calls out of a streamed answer. `constrained`: whether its text
   * must fit a constraint.
   */
  parser(constrained: boolean): ToolParser | undefined {
    if (this.descriptions.length === 0) return undefined;
    return new ToolParser(this.descriptions, callRules('auto', true, constrained));
  }

  /**
   * Runs the tools that an answer calls, all at once, and returns the turn with their results;
   * empty if it calls none. `round`: number of such turns before. Rejects if a tool does.
   */
  async turnAfter(answer: Message | undefined, round: number, signal: AbortSignal): Promise<Message[]> {
    const calls = (answer?.tool_calls ?? []) as readonly Call[];
    if (calls.length > 0 && round >= MOST_ROUNDS) {
      throw new DOMException(`the model called tools ${round} times over, and gave no answer`, 'OperationError');
    }
    const results = calls.map(async ({ id, function: { name, arguments: given } }): Promise<Message> => {
      const execute = this.#execute.get(name);
      const result: unknown = execute ? await execute(JSON.parse(given)) : `there is no tool ${name}`;
      const content = typeof result === 'string' ? result : (JSON.stringify(result) ?? '');
      return { role: 'tool', name, tool_call_id: id, content };
    });
    return unlessAborted(Promise.all(results), signal);
  }
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}
