import type { Llm } from 'weft-llm';

/** How similar two texts are in meaning: the cosine of their vectors, at most 1. */
export async function compare(encoder: Llm, first: string, second: string, signal: AbortSignal): Promise<number> {
  const [a, b] = await encoder.embed([first, second], { truncate: true, signal });
  return a!.reduce((sum, value, i) => sum + value * b![i]!, 0);
}
