import type { ChatOptions, Generation, Llm, Message } from 'weft-llm';

/** Answers a question. `role` says as whom, and may be empty. */
export function chat(
  llm: Llm,
  { role, question }: { role: string; question: string },
  options: ChatOptions,
): Generation {
  const messages: Message[] = [{ role: 'user', content: question }];
  if (role !== '') messages.unshift({ role: 'system', content: role });
  return llm.chat(messages, options);
}
