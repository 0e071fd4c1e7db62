/**
 * weft: open language models inside a web page.
 *
 * Importing this has no side effect, in a page or elsewhere; `load` starts a worker that does everything.
 */

import { Connection, createLlm } from './engine.js';
import { WeftError } from './errors.js';
import { checkLoad } from './options.js';
import type { LoadCall } from './protocol.js';
import type { Llm, LoadOptions, ModelInfo } from './types.js';

export { WeftError, type ErrorCode } from './errors.js';
export { models } from './store/models.js';
export type * from './types.js';

/**
 * Loads a model. Rejects with a {@link WeftError}, or with the signal's reason (an `AbortError`) when it is aborted.
 */
export async function load(options: LoadOptions): Promise<Llm> {
  // First, because a server cannot resolve a relative address either, and would be told that the address is wrong.
  if (typeof Worker === 'undefined' || typeof WebAssembly === 'undefined') {
    const remedy = 'Call load() in a browser, in an effect or event handler rather than while rendering on a server.';
    throw new WeftError(
      'NOT_SUPPORTED',
      `weft needs Web Workers and WebAssembly, and this is not a browser. ${remedy}`,
    );
  }
  const call = checkLoad(options);
  options.signal?.throwIfAborted();
  try {
    return await start(call, options);
  } catch (error) {
    // The engine holds a part of a file that is no more: it is read anew, once. A stream can be read once only.
    const changed = error instanceof WeftError && error.code === 'FILE_CHANGED';
    if (!changed || call.files.some(({ type }) => type === 'stream')) throw error;
    return start(checkLoad(options), options);
  }
}

async function start(call: LoadCall, { signal, onProgress }: LoadOptions): Promise<Llm> {
  const worker = startWorker();
  const connection = new Connection(worker, () => worker.terminate());
  let ready = false;
  worker.onerror = (event) => {
    event.preventDefault();
    const what = event.message || 'its script could not be loaded';
    connection.fail(
      ready ? new WeftError('CRASHED', `the worker crashed: ${what}. Load the model again.`) : notStarted(what),
    );
  };

  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => (abort = () => reject(signal?.reason)));
  signal?.addEventListener('abort', abort);
  try {
    const loading = connection.request(call, (progress) => {
      ready = true;
      onProgress?.(progress);
    });
    const info = (await Promise.race([loading, aborted])) as ModelInfo;
    return createLlm(connection, info);
  } catch (error) {
    // Nothing of a load that failed or was given up needs to be kept: the whole worker goes.
    worker.terminate();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

function startWorker(): Worker {
  try {
    // Bundlers look for this very expression.
    return new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'weft' });
  } catch (cause) {
    // From another origin, or against the content security policy.
    throw notStarted(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function notStarted(what: string, options?: ErrorOptions): WeftError {
  const remedy =
    "Is dist/worker.js served as JavaScript from the page's own origin, and does the bundler keep `new URL('./worker.js', import.meta.url)`?";
  return new WeftError('WORKER_FAILED', `the worker did not start: ${what}. ${remedy}`, options);
}
