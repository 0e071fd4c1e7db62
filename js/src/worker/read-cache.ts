/** Reads keys and values out of the engine, for a conversation that is saved. */

import type { ReadCacheCall, StartOptions } from '../common/protocol.js';
import { useAdapters } from './adapters.js';
import type { Constraints } from './constraints.js';
import { generate, type Listener } from './generation.js';
import type { Model } from './model.js';
import { recover } from './steps.js';
import type { Turn } from './turns.js';

const PREFILL: StartOptions = {
  constraint: null,
  schemas: {},
  entropy: 0,
  prefill: true,
};

const NOBODY: Listener = { started: () => undefined, piece: () => undefined };

/**
 * Keys and values of `ids`, layer by layer; undefined if `signal` stopped it. Those that the KV
 * cache no longer holds are computed first.
 */
export async function readCache(
  model: Model,
  { ids, restored, adapters = [] }: ReadCacheCall,
  constraints: Constraints,
  turn: Turn,
  signal: AbortSignal,
): Promise<Float32Array[] | undefined> {
  const { layers } = await model.info();
  const options = { ...PREFILL, adapters, ...(restored !== null && { restored }) };
  const wanted = Uint32Array.from(ids);
  for (;;) {
    await generate(model, { type: 'generate', prompt: ids, options }, constraints, turn, signal, NOBODY);
    if (signal.aborted) return undefined;
    // in the same turn, so that no other call can drop them
    try {
      const llm = await model.get();
      useAdapters(llm, adapters);
      const read: Float32Array[] = [];
      while (read.length < layers) read.push(await llm.read_kv(wanted, read.length, restored ?? undefined));
      model.progressed();
      return read;
    } catch (error) {
      await recover(model, turn, signal, error);
    }
  }
}
