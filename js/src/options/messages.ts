/** Checks the messages of a conversation. */

import { invalidOption } from '../common/errors.js';
import type { Conversation, PictureSource, PlainMessage } from '../common/protocol.js';
import { checkRole } from '../common/roles.js';
import { checkTools } from '../tools/options.js';
import type { ChatOptions, GenerateOptions, Message, TextPart } from '../types/index.js';
import { isRecord, plain, wellFormed } from './check.js';
import { checkPicture, isPicture } from './pictures.js';

/** Checks what surrounds messages that were checked. */
export function checkConversation(
  messages: readonly PlainMessage[],
  chatOptions: ChatOptions,
): { conversation: Conversation; options: GenerateOptions } {
  if (typeof chatOptions !== 'object' || chatOptions === null) throw invalidOption('options', 'an object', chatOptions);
  const { tools, variables, template, ...options } = chatOptions;
  const described = tools === undefined ? [] : checkTools(tools);
  if (variables !== undefined && !isRecord(variables)) throw invalidOption('variables', 'an object', variables);
  if (template !== undefined && typeof template !== 'string') throw invalidOption('template', 'a name', template);
  const conversation = {
    messages,
    tools: described.length ? plain('tools', described) : null,
    variables: plain('variables', variables ?? {}),
    ...(template === undefined ? {} : { template }),
  };
  return { conversation, options };
}

/**
 * Returns a copy for the worker, without unknown fields, and safe from later changes by the caller.
 * `roles`: the known roles; undefined if a server decides. `sees`: whether pictures are allowed.
 */
export function checkMessages(
  messages: readonly Message[],
  roles: readonly string[] | undefined,
  { name = 'messages', sees = false }: { readonly name?: string; readonly sees?: boolean } = {},
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
    const said = content == null && rest.tool_calls ? { content: null } : checkContent(`${at}.content`, content, sees);
    return { role: wellFormed(known), ...said, ...fields };
  });
}

/** Text of a message: a string, or its joined parts. With pictures among them, also the parts. */
function checkContent(at: string, content: unknown, sees: boolean): Pick<PlainMessage, 'content' | 'parts'> {
  if (!Array.isArray(content)) {
    if (typeof content === 'string') return { content: wellFormed(content) };
    throw invalidOption(at, "a string, or an array of { type: 'text', text }", content);
  }
  const parts = Array.from(content as readonly unknown[], (part, index): string | PictureSource => {
    const { type, text } = (part ?? {}) as Partial<TextPart>;
    if (isPicture(part)) {
      if (sees) return checkPicture(`${at}[${index}]`, part);
      const remedy = 'pictures are for chats with a model that was loaded with a `projector`';
      throw invalidOption(`${at}[${index}].type`, `'text': ${remedy}`, type);
    }
    if (type !== 'text') {
      const known = sees ? "'text', 'image' or 'image_url'" : "'text', the only type that the model reads";
      throw invalidOption(`${at}[${index}].type`, known, type);
    }
    if (typeof text !== 'string') throw invalidOption(`${at}[${index}].text`, 'a string', text);
    return wellFormed(text);
  });
  const texts = parts.filter((part) => typeof part === 'string');
  return { content: wellFormed(texts.join('')), ...(texts.length < parts.length && { parts }) };
}

/** Fields of a message that templates read, besides its text. */
const MESSAGE_FIELDS = ['name', 'tool_calls', 'tool_call_id', 'reasoning_content'] as const;
