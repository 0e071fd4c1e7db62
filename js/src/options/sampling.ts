/** Checks how the next token is chosen. */

import type * as wasm from '../../generated/weft-types.js';
import { invalidOption } from '../common/errors.js';
import type { GenerateOptions, SamplingOptions } from '../types/index.js';
import { U32_MAX, checkNumber, isRecord, type FieldsOf, type Range } from './check.js';

export const OF_SAMPLING: FieldsOf<SamplingOptions> = {
  ...{ temperature: 1, topK: 1, topP: 1, minP: 1, seed: 1, logitBias: 1 },
  ...{ repetitionPenalty: 1, frequencyPenalty: 1, presencePenalty: 1, penaltyLastN: 1 },
};

/** `numbers`: those of sampling, and the other ones of a generation. */
export function checkSampling({ logitBias, ...numbers }: Omit<GenerateOptions, 'stop'>): wasm.SamplingOptions {
  const biases = checkBiases(logitBias);
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) checkNumber(name, value, RANGES[name as keyof typeof RANGES]);
  return { ...Object.fromEntries(given), logitBias: biases };
}

const RANGES = {
  maxTokens: { min: 0, max: U32_MAX, integer: true },
  topLogprobs: { min: 0, max: U32_MAX, integer: true },
  temperature: { min: 0, max: Infinity, integer: false },
  topK: { min: 0, max: U32_MAX, integer: true },
  topP: { min: 0, max: 1, integer: false },
  minP: { min: 0, max: 1, integer: false },
  repetitionPenalty: { min: Number.MIN_VALUE, max: Infinity, integer: false },
  frequencyPenalty: { min: -Infinity, max: Infinity, integer: false },
  presencePenalty: { min: -Infinity, max: Infinity, integer: false },
  penaltyLastN: { min: 0, max: U32_MAX, integer: true },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true },
} satisfies Record<string, Range>;

function checkBiases(biases: unknown = {}): [number, number][] {
  if (!isRecord(biases)) throw invalidOption('logitBias', 'an object, token id → bias', biases);
  return Object.entries(biases).map(([id, bias]) => {
    checkNumber('logitBias', /^\d+$/.test(id) ? Number(id) : id, { min: 0, max: U32_MAX, integer: true });
    checkNumber(`logitBias[${id}]`, bias, { min: -Infinity, max: Infinity, integer: false });
    return [Number(id), Number(bias)];
  });
}
