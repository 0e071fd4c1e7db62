/**
 * Tools for templates without tool support: described in a system message, called and answered in
 * plain text, as Hermes models do.
 */

import type { PlainMessage as Message } from '../common/protocol.js';
import type { ToolDescription } from '../types/index.js';

/** Returns the messages without anything that a plain template does not know. */
export function withPlainTools(
  messages: readonly Message[],
  tools: readonly ToolDescription[] | null,
  template: string,
): Message[] {
  const plain = merged(messages.map(plainMessage));
  return tools ? instructed(plain, instruction(tools), template) : plain;
}

function instruction(tools: readonly ToolDescription[]): string {
  const described = tools.map((tool) => JSON.stringify(tool.function));
  return [
    'These are functions that you can call, each as JSON:',
    ...described,
    'To call one, write nothing else than this, with its name and the arguments that it needs:',
    '<tool_call>',
    '{"name": "the name", "arguments": {"an argument": "its value"}}',
    '</tool_call>',
    'What it gives comes between <tool_response> and </tool_response>. Answer the user with it.',
  ].join('\n');
}

/**
 * Adds a text to the end of the system message, or of the first message if the template has no
 * system role.
 */
function instructed(messages: readonly Message[], text: string, template: string): Message[] {
  const [first, ...others] = messages;
  const noSystem = /system role (is )?not supported/i.test(template) || !template.includes('system');
  if (first?.role === 'system') return [{ ...first, content: `${first.content ?? ''}\n\n${text}` }, ...others];
  if (first && noSystem) return [{ ...first, content: `${text}\n\n${first.content ?? ''}` }, ...others];
  return [{ role: 'system', content: text }, ...messages];
}

function plainMessage({ tool_calls: calls, tool_call_id: _, ...message }: Message): Message {
  if (message.role === 'tool') {
    return { role: 'user', content: `<tool_response>\n${message.content ?? ''}\n</tool_response>` };
  }
  if (!calls) return message;
  const written = calls.map((call) => `<tool_call>\n${callText(call)}\n</tool_call>`);
  return { ...message, content: [...(message.content ? [message.content] : []), ...written].join('\n') };
}

/** A call in the format of the instruction. */
function callText(call: unknown): string {
  const { name, arguments: given } = { ...Object(call), ...Object(call).function } as Record<string, unknown>;
  // arguments that are JSON text keep their digits
  const json = typeof given === 'string' && isJson(given) ? given : JSON.stringify(given ?? {});
  return `{"name": ${JSON.stringify(name)}, "arguments": ${json}}`;
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}

/**
 * Merges tool results and the user's next message into one turn: many templates require alternating
 * turns.
 */
function merged(messages: readonly Message[]): Message[] {
  const turns: Message[] = [];
  for (const message of messages) {
    const last = turns.at(-1);
    const answers = last?.role === 'user' && last.content?.endsWith('</tool_response>');
    if (last && answers && message.role === 'user') {
      turns[turns.length - 1] = { ...last, content: `${last.content}\n${message.content ?? ''}` };
    } else {
      turns.push(message);
    }
  }
  return turns;
}
