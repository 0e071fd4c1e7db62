/** Runs a call step by step, and again what was lost with the GPU or waited for memory. */

import { serializeError } from '../common/errors.js';
import { orAborted } from '../common/signals.js';
import type { Model } from './model.js';
import type { RuntimeLlm } from './runtime.js';
import type { Turn } from './turns.js';

/**
 * Calls `step` in a turn of its own each time, until it returns true. Returns false if `signal`
 * stopped it. After a lost GPU, and after waiting for memory, the next step goes on from what is
 * done. `stop` gives back what the call holds, after each error.
 */
export async function run(
  model: Model,
  turn: Turn,
  signal: AbortSignal,
  step: (llm: RuntimeLlm) => Promise<boolean>,
  stop: () => void = () => undefined,
): Promise<boolean> {
  for (;;) {
    await turn.next();
    try {
      if (signal.aborted) return false;
      const llm = model.loaded;
      if (llm) {
        if (await step(llm)) return true;
      } else {
        // other calls can be stopped meanwhile
        turn.end();
        await orAborted(model.get(), signal);
      }
    } catch (error) {
      stop();
      await recover(model, turn, signal, error);
    }
  }
}

/** Calls `work` in one turn; returns undefined if `signal` stopped it. */
export async function once<T>(
  model: Model,
  turn: Turn,
  signal: AbortSignal,
  work: (llm: RuntimeLlm) => T,
): Promise<T | undefined> {
  let result: T | undefined;
  const step = async (llm: RuntimeLlm) => {
    result = work(llm);
    return true;
  };
  await run(model, turn, signal, step);
  return result;
}

/**
 * To be called for every error of a step. Out of memory beside others, waits until one of them has
 * given back theirs. Throws the error, unless the step can be repeated.
 */
export async function recover(model: Model, turn: Turn, signal: AbortSignal, error: unknown): Promise<void> {
  const room = serializeError(error).code === 'OUT_OF_MEMORY' ? model.contexts.next() : undefined;
  if (!room) return model.failed(error);
  turn.end();
  await orAborted(room, signal);
}
