/** Checks what the caller asks of a chat beside its messages, of likelihoods and of labels; see options.ts. */

import { invalidOption } from '../common/errors.js';
import type { Conversation, PlainMessage, Prompt } from '../common/protocol.js';
import { checkToolChoice } from '../tools/options.js';
import type { ChatOptions, Example, GenerateOptions, LabelOptions, Message, ScoreOptions } from '../types/index.js';
import {
  CHAT_OPTIONS,
  checkConversation,
  checkIds,
  checkMessages,
  checkNames,
  checkSignal,
  checkString,
  checkText,
  checkTexts,
} from './options.js';

const CHOICES =
  "'auto', 'none', 'required' where there are tools, { name } of one of them, or { allowed: names, required }";

const REASONING = ['auto', 'off', 'step-by-step'] as const;

/** What crosses to the worker, and the options that are no part of the conversation. */
export function checkChat(
  messages: readonly Message[],
  chatOptions: ChatOptions,
  roles: readonly string[],
): { conversation: Conversation; options: GenerateOptions } {
  checkNames(chatOptions, CHAT_OPTIONS);
  const { toolChoice = 'auto', parallelToolCalls = true, examples = [], reasoning = 'auto', ...rest } = chatOptions;
  if (!REASONING.includes(reasoning)) {
    throw invalidOption('reasoning', REASONING.map((name) => `'${name}'`).join(' or '), reasoning);
  }
  const { conversation, options } = checkConversation(withExamples(checkMessages(messages, roles), examples), rest);
  if (typeof parallelToolCalls !== 'boolean') {
    throw invalidOption('parallelToolCalls', 'a boolean', parallelToolCalls);
  }
  const { tools } = conversation;
  const names = tools?.map((tool) => tool.function.name) ?? [];
  const choice = checkToolChoice('toolChoice', names, toolChoice, CHOICES);
  const asked = { tools: choice === 'none' ? null : tools, toolChoice: choice, parallelToolCalls };
  return { conversation: { ...conversation, ...asked, reasoning }, options };
}

/** Between the system's messages and what follows. */
export function withExamples(messages: readonly PlainMessage[], examples: readonly Example[]): readonly PlainMessage[] {
  if (!Array.isArray(examples)) throw invalidOption('examples', 'an array of { user, assistant }', examples);
  const turns = (examples as readonly unknown[]).flatMap((example, index): PlainMessage[] => {
    const { user, assistant, reasoning } = (example ?? {}) as Partial<Example>;
    const at = `examples[${index}]`;
    const thoughts = reasoning === undefined ? {} : { reasoning_content: checkString(`${at}.reasoning`, reasoning) };
    return [
      { role: 'user', content: checkString(`${at}.user`, user) },
      { role: 'assistant', content: checkString(`${at}.assistant`, assistant), ...thoughts },
    ];
  });
  const first = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  return messages.toSpliced(first < 0 ? messages.length : first, 0, ...turns);
}

/** What stands before a text that is scored. */
export function checkAfter(after: ScoreOptions['after'], roles: readonly string[]): Prompt | null {
  if (after === undefined) return null;
  if (typeof after === 'string') return checkText('after', after);
  const [first] = Array.from(after as readonly unknown[]);
  if (typeof first === 'number') return checkIds('after', after as readonly number[]);
  return answered(checkMessages(after as readonly Message[], roles, 'after'));
}

/** A conversation that is answered by a text that is scored, without thoughts before it. */
export function answered(messages: readonly PlainMessage[]): Conversation {
  return { messages, tools: null, variables: {}, reasoning: 'off' };
}

export function checkScored(text: string | readonly number[]): string | number[] {
  if (typeof text === 'string') return checkText('text', text);
  const ids = checkIds('text', text);
  if (ids.length === 0) throw invalidOption('text', 'a text or its ids, not empty', text);
  return ids;
}

/** What is asked of labels, with all that has a default; a copy, safe from what the caller does to it next. */
export interface Labelling extends Required<Omit<LabelOptions, 'signal'>> {
  readonly text: string;
  readonly labels: readonly string[];
  readonly signal: AbortSignal | undefined;
}

export function checkLabelling(text: string, labels: readonly string[], options: LabelOptions): Labelling {
  const checked = checkTexts('labels', labels);
  if (checked.length < 2 || new Set(checked).size < checked.length) {
    throw invalidOption('labels', 'at least two, each once', labels);
  }
  checkNames(options, ['instruction', 'examples', 'calibrate', 'signal']);
  const { instruction = defaultInstruction(checked), examples = [], calibrate = false, signal } = options;
  if (!Array.isArray(examples)) throw invalidOption('examples', 'an array of { text, label }', examples);
  const shown = (examples as Labelling['examples']).map((example, index) => {
    const at = `examples[${index}]`;
    const [text, label] = [checkText(`${at}.text`, example?.text), checkText(`${at}.label`, example?.label)];
    if (!checked.includes(label)) throw invalidOption(`${at}.label`, 'one of the labels', label);
    return { text, label };
  });
  if (typeof calibrate !== 'boolean') throw invalidOption('calibrate', 'a boolean', calibrate);
  checkSignal(signal);
  const instructed = checkText('instruction', instruction);
  return { text, labels: checked, instruction: instructed, examples: shown, calibrate, signal };
}

const defaultInstruction = (labels: readonly string[]) =>
  `What fits the text best: ${labels.join(', ')}? Answer with one of them alone.`;
