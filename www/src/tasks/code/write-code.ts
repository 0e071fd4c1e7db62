import type { ChatOptions, Generation, Llm } from 'weft-llm';

export function writeCode(
  llm: Llm,
  { what, language }: { what: string; language: string },
  options: ChatOptions,
): Generation {
  const content = `Write ${language} code, in one block, and explain it in one sentence. ${what}`;
  return llm.chat([{ role: 'user', content }], options);
}
