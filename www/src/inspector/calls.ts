/** What the panels ask the model. “View source” of a panel shows its function. */

import type { Constraint, Llm, Message, SamplingOptions, TokenIds } from 'weft-llm';

export async function tokens(llm: Llm, prompt: string | readonly Message[], signal: AbortSignal) {
  return llm.inspect(prompt, { logprobs: llm.info.kind === 'decoder', signal });
}

export async function attention(llm: Llm, prompt: TokenIds, layers: number[], signal: AbortSignal) {
  const seen = await llm.inspect(prompt, { attention: { layers }, signal });
  return seen.attention ?? [];
}

export async function next(
  llm: Llm,
  prompt: TokenIds,
  sampling: SamplingOptions,
  constraint: Constraint | null,
  signal: AbortSignal,
) {
  if (!constraint) {
    const seen = await llm.inspect(prompt, { ...sampling, next: { top: 20 }, signal });
    return seen.next ?? [];
  }
  // A constraint is that of an answer: of one token here.
  const inspect = { next: { top: 20 } };
  const answer = llm.generate(prompt, { ...sampling, constraint, maxTokens: 1, inspect, signal });
  for await (const piece of answer) if (piece.id !== null) return piece.inspection?.next ?? [];
  return [];
}

export async function lens(llm: Llm, prompt: TokenIds, positions: number[], signal: AbortSignal) {
  const seen = await llm.inspect(prompt, { lens: { top: 5, positions }, signal });
  return seen.lens ?? [];
}

export async function rotations(llm: Llm, prompt: TokenIds, signal: AbortSignal) {
  const seen = await llm.inspect(prompt, { rotations: true, signal });
  return seen.rotations ?? [];
}

export async function norms(llm: Llm, prompt: TokenIds, signal: AbortSignal) {
  const seen = await llm.inspect(prompt, { hiddenStates: true, signal });
  return seen.hiddenStates ?? [];
}

export async function neighbours(llm: Llm, token: number | string, signal: AbortSignal) {
  return llm.nearestTokens(token, { top: 12, signal });
}

export async function experts(llm: Llm, prompt: TokenIds, signal: AbortSignal) {
  const seen = await llm.inspect(prompt, { experts: true, signal });
  return seen.experts ?? [];
}

export async function timing(llm: Llm, prompt: TokenIds, signal: AbortSignal) {
  // An answer to this text would not compute these again.
  const { cachedTokens } = await llm.inspect(prompt, { next: { top: 1 }, signal });
  const { timing = [] } = await llm.inspect(prompt, { timing: true, signal });
  return { cachedTokens, timing };
}
