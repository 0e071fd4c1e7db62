/** Reads keys and values out of the engine, for what is saved of a conversation or a prompt. */

import { serializeError, WeftError } from '../common/errors.js';
import type { ReadCache, ReadCacheCall, RememberCall, StartOptions } from '../common/protocol.js';
import type { Remembered } from '../types/index.js';
import { useAdapters } from './adapters.js';
import type { Constraints } from './constraints.js';
import { generate, prepareAny, type Listener } from './generation.js';
import type { Model } from './model.js';
import type { Prefixes } from './prefixes.js';
import { once, recover } from './steps.js';
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
): Promise<ReadCache | undefined> {
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
      const used = llm.adapters_fingerprint();
      const read: Float32Array[] = [];
      while (read.length < layers) read.push(await llm.read_kv(wanted, read.length, restored ?? undefined));
      model.progressed();
      return { layers: read, adapters: used };
    } catch (error) {
      await recover(model, turn, signal, error);
    }
  }
}

/** How often a prompt is computed that other calls push out before it is stored. */
const ATTEMPTS = 3;

/**
 * Computes a prompt and stores it; undefined if `signal` stopped it. Errors: `INVALID_OPTION` where
 * nothing is to be stored.
 */
export async function remember(
  model: Model,
  { prompt, pinned, adapters = [] }: RememberCall,
  prefixes: Prefixes | undefined,
  constraints: Constraints,
  turn: Turn,
  signal: AbortSignal,
): Promise<Remembered | undefined> {
  if (!prefixes) {
    const remedy = 'load the model with `prefixCache: { persist: true }`';
    throw new WeftError('INVALID_OPTION', `what is remembered would end with the page: ${remedy}`);
  }
  const prepared = await once(model, turn, signal, (llm) => prepareAny(llm, prompt, undefined, null));
  if (!prepared) return undefined;
  const ids = [...prepared.ids];
  for (let attempt = 1; ; attempt += 1) {
    const call = { type: 'generate', prompt: ids, options: { ...PREFILL, adapters } } as const;
    await generate(model, call, constraints, turn, signal, NOBODY, prefixes);
    try {
      const storedBytes = await prefixes.keep(model, turn, signal, { ids, adapters }, pinned);
      return storedBytes === undefined ? undefined : { tokens: ids.length, storedBytes };
    } catch (error) {
      if (serializeError(error).code !== 'INVALID_OPTION' || attempt === ATTEMPTS) throw error;
    }
  }
}
