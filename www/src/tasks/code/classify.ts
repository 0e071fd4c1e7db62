import type { LabelOptions, LabelScore, Llm } from 'weft-llm';
import type { Row } from '../example-rows.js';

interface Classification {
  text: string;
  labels: readonly string[];
  examples: readonly Row[];
}

/** Asks how likely each label is as the answer; nothing is written. */
export function classify(
  llm: Llm,
  { text, labels, examples }: Classification,
  options: LabelOptions,
): Promise<LabelScore[]> {
  return llm.classify(text, labels, {
    ...options,
    calibrate: true,
    examples: examples.map(({ input, output }) => ({ text: input, label: output })),
  });
}
