import type { Generation, Llm, TextOptions } from 'weft-llm';

/** Fill in the middle: the answer stands between `before` and `after`. */
export function fillGap(
  llm: Llm,
  { before, after }: { before: string; after: string },
  options: TextOptions,
): Generation {
  return llm.generate(before, { ...options, suffix: after });
}
