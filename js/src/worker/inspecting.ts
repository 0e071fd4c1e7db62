/** Looks inside the model: events of the runtime become an inspection. */

import { invalidOption } from '../common/errors.js';
import type { InspectCall, NearestCall } from '../common/protocol.js';
import type { Inspection, NearToken } from '../types/index.js';
import { useAdapters } from './adapters.js';
import { prepareAny } from './generation.js';
import type { Model } from './model.js';
import type { RuntimeLayer, RuntimeLlm } from './runtime.js';
import { inspectionOf } from './seen.js';
import { run } from './steps.js';
import { stop } from './stop.js';
import type { Turn } from './turns.js';

/**
 * Reads a prompt, up to one layer in each step; undefined if `signal` stopped it. Begins again on a
 * model that was loaded again, and after waiting for memory.
 */
export async function inspect(
  model: Model,
  { prompt, options, adapters }: InspectCall,
  turn: Turn,
  signal: AbortSignal,
): Promise<Inspection | undefined> {
  let ids: Uint32Array | undefined;
  let running: { readonly llm: RuntimeLlm; readonly handle: number } | undefined;
  let layers: RuntimeLayer[] = [];
  let result: Inspection | undefined;
  const end = () => {
    if (running) stop(running.llm, running.handle);
    running = undefined;
  };
  const step = async (llm: RuntimeLlm) => {
    if (running?.llm !== llm) {
      end();
      ids ??= prepareAny(llm, prompt, undefined, null).ids;
      useAdapters(llm, adapters);
      running = { llm, handle: llm.inspect(ids, options) };
      layers = [];
    }
    const event = await llm.inspect_next(running.handle);
    model.progressed();
    if (event.type === 'layer') layers.push(event);
    if (event.type === 'end') result = inspectionOf(options, layers, event);
    return result !== undefined;
  };
  try {
    await run(model, turn, signal, step, end);
  } finally {
    end();
  }
  return result;
}

/** What moves to the page instead of being copied. */
export function transfersOf({ attention = [] }: Inspection): ArrayBuffer[] {
  return attention.map(({ weights }) => weights.buffer as ArrayBuffer);
}

/** Compares a token with all others, some in each step; undefined if `signal` stopped it. */
export async function nearestTokens(
  model: Model,
  { token, top }: NearestCall,
  turn: Turn,
  signal: AbortSignal,
): Promise<NearToken[] | undefined> {
  let best: NearToken[] = [];
  let from = 0;
  const step = async (llm: RuntimeLlm) => {
    const { next, count, tokens } = await llm.nearest(idOf(llm, token), from, top);
    model.progressed();
    best = [...best, ...tokens].sort((a, b) => b.similarity - a.similarity).slice(0, top);
    from = next;
    return from >= count;
  };
  return (await run(model, turn, signal, step)) ? best : undefined;
}

function idOf(llm: RuntimeLlm, token: number | string): number {
  if (typeof token === 'number') return token;
  const ids = llm.tokenize(token, false, false);
  const [id] = ids;
  if (id !== undefined && ids.length === 1) return id;
  throw invalidOption('token', `a text that is one token (these are the ids ${[...ids].join(', ')})`, token);
}
