/** Checks the options of a session. Errors name the option, what it should be and what it is. */

import { invalidOption } from '../common/errors.js';
import type { PlainMessage } from '../common/protocol.js';
import { CHAT_OPTIONS, checkChat } from '../options/chat.js';
import { checkNames, checkNumber, checkString } from '../options/check.js';
import { GENERATE_OPTIONS, checkGenerate } from '../options/generate.js';
import { checkMessages } from '../options/messages.js';
import type { GenerateOptions, Message, ModelInfo } from '../types/index.js';
import type { Overflow, SessionOptions, Turn } from '../types/session.js';
import type { Rules, State } from './context.js';

const OVERFLOWS: readonly Overflow[] = ['error', 'truncate-oldest-turns', 'shift', 'sinks'];

/** The fixed settings of a session. */
export interface Settings extends Rules {
  /** Default options of its turns. */
  readonly generate: GenerateOptions;
}

const SESSION_OPTIONS = ['messages', 'overflow', 'keep', ...CHAT_OPTIONS.filter((name) => name !== 'signal')];

export function checkSession(
  options: SessionOptions,
  { roles, inputs }: Pick<ModelInfo, 'roles' | 'inputs'>,
): { settings: Settings; state: State } {
  if (typeof options === 'object' && options !== null && 'signal' in options) {
    throw invalidOption('signal', 'none: each turn has its own', options.signal);
  }
  checkNames(options, SESSION_OPTIONS);
  const { messages = [], overflow = 'error', keep, ...chat } = options;
  if (!OVERFLOWS.includes(overflow)) {
    throw invalidOption('overflow', OVERFLOWS.map((name) => `'${name}'`).join(' or '), overflow);
  }
  if (overflow === 'sinks' && keep !== undefined) {
    throw invalidOption(
      'keep',
      "none with the overflow 'sinks', which keeps the first tokens ('shift' keeps messages)",
      keep,
    );
  }
  const isNew = Array.isArray(messages) && messages.length === 0;
  const { conversation, options: generate } = checkChat(isNew ? ANY : messages, chat, roles, inputs.includes('image'));
  checkGenerate(generate);
  const { messages: all, ...template } = conversation;
  const begun = isNew ? all.slice(0, -1) : all;
  if (keep !== undefined) checkNumber('keep', keep, { min: 0, max: begun.length, integer: true });
  const settings = { overflow, keep: keep ?? introduction(begun), template, generate };
  return { settings, state: { messages: begun, ids: [], dropped: { messages: 0, tokens: 0 } } };
}

/** Stands in for the first message when only examples are checked. */
const ANY: readonly PlainMessage[] = [{ role: 'user', content: '' }];

/** Number of leading system messages. */
function introduction(messages: readonly PlainMessage[]): number {
  const end = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  return end < 0 ? messages.length : end;
}

/** Returns copies, which the caller cannot change. */
export function checkTurn(turn: Turn, { roles, inputs }: Pick<ModelInfo, 'roles' | 'inputs'>): readonly PlainMessage[] {
  if (typeof turn === 'string') return [{ role: 'user', content: checkString('turn', turn) }];
  if (typeof turn !== 'object' || turn === null) throw invalidOption('turn', 'a text, or messages', turn);
  const messages = Array.isArray(turn) ? (turn as readonly Message[]) : [turn as Message];
  return messages.length > 0 ? checkMessages(messages, roles, { sees: inputs.includes('image') }) : [];
}

/** Names of the options of `send`. */
export const SEND_OPTIONS: readonly string[] = ['prefix', ...GENERATE_OPTIONS];

export function checkPrefix(prefix: unknown = ''): string {
  return checkString('prefix', prefix);
}
