import type { ChatOptions, Generation, Llm } from 'weft-llm';

/** Answers from passages, which the answer cites by their numbers. */
export function askDocuments(
  llm: Llm,
  question: string,
  passages: readonly string[],
  options: ChatOptions,
): Generation {
  const numbered = passages.map((text, index) => `[${index + 1}] ${text}`).join('\n\n');
  const content = `${numbered}\n\nAnswer from these passages alone, and name the passage behind each statement, like [1]. If they do not say it, say so.\n\nQuestion: ${question}`;
  return llm.chat([{ role: 'user', content }], options);
}

/** The best passages that leave half of the context to the question and the answer. */
export async function passagesThatFit(llm: Llm, ranked: readonly string[]): Promise<string[]> {
  const fitting: string[] = [];
  let left = llm.info.contextLength / 2;
  for (const text of ranked.slice(0, 5)) {
    left -= (await llm.tokenize(text, { addSpecial: false })).length;
    if (left < 0 && fitting.length > 0) break;
    fitting.push(text);
  }
  return fitting;
}
