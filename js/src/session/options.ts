/** Checks what the caller gave of a session: names the option, what it should be and what it is. */

import { invalidOption } from '../errors.js';
import { checkConversation, checkGenerate, checkMessages, checkNumber, checkString } from '../options.js';
import type { GenerateOptions, Message } from '../types.js';
import type { Rules, State } from './context.js';
import type { Overflow, SessionOptions, Turn } from './types.js';

const OVERFLOWS: readonly Overflow[] = ['error', 'truncate-oldest-turns', 'shift'];

/** What of a session never changes. */
export interface Settings extends Rules {
  /** How it answers where a turn does not say otherwise. */
  readonly generate: GenerateOptions;
}

export function checkSession(options: SessionOptions): { settings: Settings; state: State } {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', 'an object', options);
  const { messages = [], overflow = 'error', keep, ...chat } = options;
  if (!OVERFLOWS.includes(overflow)) {
    throw invalidOption('overflow', OVERFLOWS.map((name) => `'${name}'`).join(' or '), overflow);
  }
  if ('signal' in chat) throw invalidOption('signal', 'none: each turn has its own', chat.signal);
  const { conversation, options: generate } = checkConversation(messages.length > 0 ? messages : ANY, chat);
  checkGenerate(generate);
  const begun = messages.length > 0 ? conversation.messages : [];
  if (keep !== undefined) checkNumber('keep', keep, { min: 0, max: begun.length, integer: true });
  const { tools, variables } = conversation;
  const settings = { overflow, keep: keep ?? introduction(begun), template: { tools, variables }, generate };
  return { settings, state: { messages: begun, ids: [], dropped: { messages: 0, tokens: 0 } } };
}

/** What `checkConversation` is given where there is no message yet. */
const ANY: readonly Message[] = [{ role: 'user', content: '' }];

/** How many messages of the system it begins with. */
function introduction(messages: readonly Message[]): number {
  const end = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  return end < 0 ? messages.length : end;
}

/** Copies, which the caller cannot change any more. */
export function checkTurn(turn: Turn): readonly Message[] {
  if (typeof turn === 'string') return [{ role: 'user', content: checkString('turn', turn) }];
  if (typeof turn !== 'object' || turn === null) throw invalidOption('turn', 'a text, or messages', turn);
  const messages = Array.isArray(turn) ? (turn as readonly Message[]) : [turn as Message];
  return messages.length > 0 ? checkMessages(messages) : [];
}

export function checkPrefix(prefix: unknown = ''): string {
  return checkString('prefix', prefix);
}
