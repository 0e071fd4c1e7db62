import type { ChatOptions, Generation, Llm } from 'weft-llm';
import type { Row } from '../example-rows.js';

interface Translation {
  text: string;
  from: string;
  to: string;
  examples: readonly Row[];
}

export function translate(llm: Llm, { text, from, to, examples }: Translation, options: ChatOptions): Generation {
  const ask = (text: string) => `Translate from ${from} into ${to}. Answer with the translation only.\n\n${text}`;
  return llm.chat([{ role: 'user', content: ask(text) }], {
    ...options,
    examples: examples.map(({ input, output }) => ({ user: ask(input), assistant: output })),
  });
}
