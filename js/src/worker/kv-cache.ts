/** The worker's end of conversations that go on elsewhere: keys and values, out of the engine and back. */

import type { Constraints } from './constraints.js';
import { serializeError, WeftError } from '../common/errors.js';
import { generate, type Listener } from './generation.js';
import type { Model } from './model.js';
import type { KvCache, StartOptions } from '../common/protocol.js';
import type { RuntimeLlm } from './runtime.js';

const PREFILL: StartOptions = {
  logitBias: [],
  stop: [],
  keepSpecial: [],
  constraint: null,
  schemas: '{}',
  entropy: 0,
  prefill: true,
};

const NOBODY: Listener = { started: () => undefined, piece: () => undefined };

/** Keys and values of `ids`, layer by layer; what is not in the KV cache any more is computed first. */
export async function readCache(
  model: Model,
  ids: readonly number[],
  restored: number | null,
  constraints: Constraints,
  signal: AbortSignal,
): Promise<Float32Array[]> {
  const { layers } = await model.info();
  const options = restored === null ? PREFILL : { ...PREFILL, restored };
  for (;;) {
    await generate(model, { type: 'generate', prompt: ids, options }, constraints, signal, NOBODY);
    try {
      const llm = await model.get();
      const read: Float32Array[] = [];
      while (read.length < layers) read.push(await llm.read_kv(read.length, ids.length));
      model.progressed();
      return read;
    } catch (error) {
      model.failed(error);
    }
  }
}

/**
 * `owner`: who alone goes on from there. Errors: `INVALID_SESSION` where the model has no place for
 * it.
 */
export async function writeCache(llm: RuntimeLlm, { ids, layers }: KvCache, owner: number): Promise<void> {
  try {
    for (const [layer, values] of layers.entries()) await llm.write_kv(layer, ids.length, values);
    llm.restored(Uint32Array.from(ids), owner);
  } catch (error) {
    const { code, message } = serializeError(error);
    if (!['INVALID_OPTION', 'TOKENIZE', 'CONTEXT_OVERFLOW'].includes(code)) throw error;
    throw new WeftError('INVALID_SESSION', `the session does not fit this model: ${message}`, { cause: error });
  }
}
