/** Checks the options of chats, scores and labels; see options.ts. */

import { invalidOption } from '../common/errors.js';
import type { Conversation, PlainMessage, RememberCall } from '../common/protocol.js';
import { checkToolChoice } from '../tools/options.js';
import type { ChatOptions, Example, GenerateOptions, Message, RememberOptions, TokenIds } from '../types/index.js';
import { adaptersOf } from './adapters.js';
import { checkNames, checkSignal, checkString, type FieldsOf } from './check.js';
import { checkPrompt, OF_GENERATIONS } from './generate.js';
import { checkConversation, checkMessages } from './messages.js';

const OF_CHATS: FieldsOf<ChatOptions> = {
  ...OF_GENERATIONS,
  ...{ tools: 1, toolChoice: 1, parallelToolCalls: 1, examples: 1, reasoning: 1, variables: 1, template: 1 },
};

export const CHAT_OPTIONS: readonly string[] = Object.keys(OF_CHATS);

const CHOICES =
  "'auto', 'none', 'required' where there are tools, { name } of one of them, or { allowed: names, required }";

const REASONING = ['auto', 'off', 'step-by-step'] as const;

/**
 * Returns the conversation for the worker, and the options that are not part of it. `sees`: whether
 * pictures are allowed.
 */
export function checkChat(
  messages: readonly Message[],
  chatOptions: ChatOptions,
  roles: readonly string[],
  sees = false,
): { conversation: Conversation; options: GenerateOptions } {
  checkNames(chatOptions, CHAT_OPTIONS);
  const { toolChoice = 'auto', parallelToolCalls = true, examples = [], reasoning = 'auto', ...rest } = chatOptions;
  if (!REASONING.includes(reasoning)) {
    throw invalidOption('reasoning', REASONING.map((name) => `'${name}'`).join(' or '), reasoning);
  }
  const shown = withExamples(checkMessages(messages, roles, { sees }), examples);
  const { conversation, options } = checkConversation(shown, rest);
  if (typeof parallelToolCalls !== 'boolean') {
    throw invalidOption('parallelToolCalls', 'a boolean', parallelToolCalls);
  }
  const { tools } = conversation;
  const names = tools?.map((tool) => tool.function.name) ?? [];
  const choice = checkToolChoice('toolChoice', names, toolChoice, CHOICES);
  const asked = { tools: choice === 'none' ? null : tools, toolChoice: choice, parallelToolCalls };
  return { conversation: { ...conversation, ...asked, reasoning }, options };
}

const OF_REMEMBERING: FieldsOf<RememberOptions> = {
  ...{ examples: 1, reasoning: 1, tools: 1, toolChoice: 1, variables: 1, template: 1, adapter: 1, signal: 1 },
  pinned: 1,
};

/** Returns the call for the worker. */
export function checkRemember(
  prompt: string | TokenIds | readonly Message[],
  rememberOptions: RememberOptions,
  roles: readonly string[],
): RememberCall {
  const isConversation = Array.isArray(prompt) && typeof prompt[0] === 'object';
  const known = isConversation ? Object.keys(OF_REMEMBERING) : ['adapter', 'signal', 'pinned'];
  checkNames(rememberOptions, known);
  const { pinned = true, ...options } = rememberOptions;
  if (typeof pinned !== 'boolean') throw invalidOption('pinned', 'a boolean', pinned);
  checkSignal(options.signal);
  const given = isConversation
    ? checkChat(prompt as readonly Message[], options, roles).conversation
    : checkPrompt(prompt as string | TokenIds);
  return { type: 'remember', prompt: given, pinned, ...adaptersOf(options) };
}

/** Inserts the examples after the system messages. */
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
