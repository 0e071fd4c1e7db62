import type { LabelScore, Llm } from 'weft-llm';

/** Natural language inference: whether the second text follows from the first. */
export function entailment(llm: Llm, premise: string, hypothesis: string, signal: AbortSignal): Promise<LabelScore[]> {
  if (llm.info.kind === 'encoder') return llm.classify(premise, { pair: hypothesis, truncate: true, signal });
  const instruction = 'Does the hypothesis follow from the premise? Answer with entailment, neutral or contradiction.';
  const text = `Premise: ${premise}\nHypothesis: ${hypothesis}`;
  return llm.classify(text, ['entailment', 'neutral', 'contradiction'], { instruction, calibrate: true, signal });
}
