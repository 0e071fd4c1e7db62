import type { LabelScore, Llm } from 'weft-llm';

/** An encoder that was trained for it has labels of its own; a decoder is asked. */
export function sentiment(llm: Llm, text: string, signal: AbortSignal): Promise<LabelScore[]> {
  if (llm.info.kind === 'encoder') return llm.classify(text, { truncate: true, signal });
  const instruction = 'Is this text positive, neutral or negative? Answer with one word.';
  return llm.classify(text, ['positive', 'neutral', 'negative'], { instruction, calibrate: true, signal });
}
