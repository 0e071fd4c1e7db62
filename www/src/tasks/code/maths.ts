import type { ChatOptions, Generation, Llm } from 'weft-llm';

/** A model that was trained to think gives its steps as `reasoning` of the pieces. */
export function maths(llm: Llm, { problem }: { problem: string }, options: ChatOptions): Generation {
  return llm.chat([{ role: 'user', content: problem }], { ...options, reasoning: 'step-by-step' });
}
