import type { ChatOptions, Generation, Llm } from 'weft-llm';
import type { Row } from '../example-rows.js';

interface Rewriting {
  text: string;
  tone: string;
  examples: readonly Row[];
}

export function rewrite(llm: Llm, { text, tone, examples }: Rewriting, options: ChatOptions): Generation {
  const ask = (text: string) => `Rewrite this text so that it is ${tone}. Answer with the new text only.\n\n${text}`;
  return llm.chat([{ role: 'user', content: ask(text) }], {
    ...options,
    // Each example is asked like the text itself.
    examples: examples.map(({ input, output }) => ({ user: ask(input), assistant: output })),
  });
}
