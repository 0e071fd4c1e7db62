/** Ids of calls in the form that templates want. */

import type { PlainMessage } from '../common/protocol.js';

/** Mistral's templates accept only ids of nine letters and digits. */
const WANTS_NINE = /\blength\s*!=\s*9\b/;
const NINE = /^[a-zA-Z0-9]{9}$/;

/** Returns the messages with ids that the template accepts. */
export function withIds(messages: readonly PlainMessage[], template: string): readonly PlainMessage[] {
  if (!WANTS_NINE.test(template)) return messages;
  const ids = new Map<string, string>();
  const short = (id: string) => {
    const found = NINE.test(id) ? id : (ids.get(id) ?? `call${String(ids.size + 1).padStart(5, '0')}`);
    ids.set(id, found);
    return found;
  };
  return messages.map(({ tool_calls: calls, tool_call_id: id, ...message }, index) => ({
    ...message,
    ...(id === undefined ? {} : { tool_call_id: short(id) }),
    ...(calls === undefined ? {} : { tool_calls: calls.map((call, i) => withId(call, short, `${index} ${i}`)) }),
  }));
}

function withId(call: unknown, short: (id: string) => string, otherwise: string): unknown {
  const { id = otherwise, ...rest } = Object(call) as { id?: unknown };
  return { ...rest, id: short(String(id)) };
}
