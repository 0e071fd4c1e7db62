import type { ChatOptions, Generation, Llm } from 'weft-llm';

export function summarise(
  llm: Llm,
  { text, length }: { text: string; length: string },
  options: ChatOptions,
): Generation {
  const content = `Summarise this text in ${length}.\n\n${text}`;
  return llm.chat([{ role: 'user', content }], options);
}
