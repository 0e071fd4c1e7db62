// Globals that the code in documents uses.

import type { Llm } from 'weft-llm';

declare global {
  const llm: Llm;
  const LanguageModel: typeof import('weft-llm/prompt-api').LanguageModel;
  const messages: { role: 'user'; content: string }[];
  const documents: string[];
  const output: HTMLElement;
}
