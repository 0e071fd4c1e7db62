/** Checks the messages of a conversation. */

import { invalidOption } from '../common/errors.js';
import type { Conversation, PlainMessage } from '../common/protocol.js';
import { checkRole } from '../common/roles.js';
import { checkTools } from '../tools/options.js';
import type { ChatOptions, GenerateOptions, Message, TextPart } from '../types/index.js';
import { isRecord, plain, wellFormed } from './check.js';

/**
 * Returns a copy for the worker, without unknown fields, and safe from later changes by the caller.
 */
export function checkConversation(
  messages: readonly Message[],
  chatOptions: ChatOptions,
  roles?: readonly string[],
): { conversation: Conversation; options: GenerateOptions } {
  if (typeof chatOptions !== 'object' || chatOptions === null) throw invalidOption('options', 'an object', chatOptions);
  const { tools, variables, template, ...options } = chatOptions;
  const described = tools === undefined ? [] : checkTools(tools);
  if (variables !== undefined && !isRecord(variables)) throw invalidOption('variables', 'an object', variables);
  if (template !== undefined && typeof template !== 'string') throw invalidOption('template', 'a name', template);
  const conversation = {
    messages: checkMessages(messages, roles),
    tools: described.length ? plain('tools', described) : null,
    variables: plain('variables', variables ?? {}),
    ...(template === undefined ? {} : { template }),
  };
  return { conversation, options };
}

/** `roles`: the known roles; undefined if a server decides. */
export function checkMessages(
  messages: readonly Message[],
  roles: readonly string[] | undefined,
  name = 'messages',
): PlainMessage[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalidOption(name, 'an array of { role, content }, not empty', messages);
  }
  return Array.from(messages as readonly unknown[], (message, index) => {
    const at = `${name}[${index}]`;
    const { role, content, ...rest } = (message ?? {}) as Partial<Message>;
    if (typeof role !== 'string') throw invalidOption(`${at}.role`, 'a string', role);
    const known = roles ? checkRole(role, roles, at) : role;
    const given = MESSAGE_FIELDS.filter((name) => rest[name] !== undefined);
    const fields = Object.fromEntries(given.map((name) => [name, plain(`${at}.${name}`, rest[name])]));
    // A message with calls needs no text.
    const text = content == null && rest.tool_calls ? null : checkContent(`${at}.content`, content);
    return { role: wellFormed(known), content: text, ...fields };
  });
}

/** Text of a message: a string, or its joined parts. */
function checkContent(at: string, content: unknown): string {
  if (!Array.isArray(content)) {
    if (typeof content === 'string') return wellFormed(content);
    throw invalidOption(at, "a string, or an array of { type: 'text', text }", content);
  }
  const texts = Array.from(content as readonly unknown[], (part, index) => {
    const { type, text } = (part ?? {}) as Partial<TextPart>;
    if (type !== 'text')
      throw invalidOption(`${at}[${index}].type`, "'text', the only type that the model reads", type);
    if (typeof text !== 'string') throw invalidOption(`${at}[${index}].text`, 'a string', text);
    return text;
  });
  return wellFormed(texts.join(''));
}

/** Fields of a message that templates read, besides its text. */
const MESSAGE_FIELDS = ['name', 'tool_calls', 'tool_call_id', 'reasoning_content'] as const;
