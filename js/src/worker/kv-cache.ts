/** Writes saved keys and values into the engine, for a conversation that was restored. */

import { serializeError, WeftError } from '../common/errors.js';
import type { KvCache } from '../common/protocol.js';
import type { RuntimeLlm } from './runtime.js';
import { stop } from './stop.js';

/**
 * `owner`: the session that alone may use them. Errors: `INVALID_SESSION` if they do not fit the
 * model.
 */
export async function writeCache(llm: RuntimeLlm, { ids, layers }: KvCache, owner: number): Promise<void> {
  try {
    const restoring = llm.restore(Uint32Array.from(ids), owner);
    try {
      for (const [layer, values] of layers.entries()) await llm.write_kv(restoring, layer, values);
      await llm.restored(restoring);
    } finally {
      stop(llm, restoring);
    }
  } catch (error) {
    const { code, message } = serializeError(error);
    if (!['INVALID_OPTION', 'TOKENIZE', 'CONTEXT_OVERFLOW'].includes(code)) throw error;
    throw new WeftError('INVALID_SESSION', `the session does not fit this model: ${message}`, { cause: error });
  }
}
