/** The stages of the sampler, and what each makes of the tokens. */

import type { SamplerStage, TokenProbability } from 'weft-llm';
import { optional } from '../text/text.js';

/** A stage that is not known here has the name that weft gives it. */
export const stageName = (stage: string): string => optional(`stage-${stage}`) ?? stage;

export interface Row extends TokenProbability {
  /** Whether the model lists it; if not, it is less likely than those. */
  listed: boolean;
  after: number;
  /** The stage that cut it away. */
  cutBy: string | null;
}

/** The tokens of the model and of a stage, with their probabilities in both. */
export function rowsOf(stages: readonly SamplerStage[], stage: SamplerStage): Row[] {
  const model = stages[0]?.top ?? [];
  const known = new Set(model.map(({ id }) => id));
  const others = stage.top.filter(({ id }) => !known.has(id)).map((token) => ({ ...token, probability: 0 }));
  const before = stages.slice(0, stages.indexOf(stage) + 1);
  const chance = ({ top }: SamplerStage, id: number) => top.find((token) => token.id === id)?.probability;
  return [...model, ...others].map((token) => ({
    ...token,
    listed: known.has(token.id),
    after: chance(stage, token.id) ?? 0,
    cutBy: before.find((one) => chance(one, token.id) === 0)?.stage ?? null,
  }));
}
