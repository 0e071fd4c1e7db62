/** Loads a model in a worker, or estimates what it needs. */

import { messageOf, WeftError } from '../common/errors.js';
import type { LoadCall, LoadedInfo } from '../common/protocol.js';
import { checkEstimate, checkLoad } from '../options/load.js';
import type { Estimate, EstimateOptions, Llm, LoadOptions, ModelSource, Sharing } from '../types/index.js';
import type { Connection } from './connection.js';
import { connectDedicated } from './dedicated.js';
import { ALONE, createLlm } from './llm.js';
import { connectShared } from './shared.js';

/**
 * Loads a model. Rejects with a {@link WeftError}, or with the signal's reason when it is aborted.
 */
export async function load(options: LoadOptions): Promise<Llm> {
  checkPlace('load');
  const call = checkLoad(options);
  options.signal?.throwIfAborted();
  try {
    return await start(call, options);
  } catch (error) {
    // The engine holds a part of a file that has since changed: load it again, once. A stream can
    // be read only once.
    const changed = error instanceof WeftError && error.code === 'FILE_CHANGED';
    const all = call.projector ? [...call.files, call.projector] : call.files;
    if (!changed || all.some(({ type }) => type === 'stream')) throw error;
    return start(checkLoad(options), options);
  }
}

/**
 * Computes a model's properties and memory. Fetches only the headers of its files, and the small
 * files of a folder. Rejects as {@link load} does.
 */
export async function estimate(model: ModelSource, options: EstimateOptions = {}): Promise<Estimate> {
  checkPlace('estimate');
  const call = checkEstimate(model, options);
  const { signal } = options;
  signal?.throwIfAborted();
  const connection = connectDedicated();
  const over = new WeftError('DISPOSED', 'the estimate was aborted');
  const abort = () => connection.fail(over);
  signal?.addEventListener('abort', abort);
  try {
    return (await connection.request(call)) as Estimate;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
    connection.fail(over);
  }
}

/** Checked first: a server cannot resolve a relative URL either, and would report that instead. */
function checkPlace(name: string): void {
  if (typeof Worker !== 'undefined' && typeof WebAssembly !== 'undefined') return;
  const remedy = `Call ${name}() in a browser, in an effect or event handler rather than while rendering on a server.`;
  throw new WeftError('NOT_SUPPORTED', `weft needs Web Workers and WebAssembly, and this is not a browser. ${remedy}`);
}

async function start(call: LoadCall, options: LoadOptions): Promise<Llm> {
  const { signal, onProgress } = options;
  const { connection, sharing } = await connect(call, options);
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => (abort = () => reject(signal?.reason)));
  signal?.addEventListener('abort', abort);
  try {
    signal?.throwIfAborted();
    const info = (await Promise.race([connection.request(call, onProgress), aborted])) as LoadedInfo;
    return createLlm(connection, info, sharing);
  } catch (error) {
    // Nothing of a failed load is kept: the worker ends, unless other tabs use it.
    connection.fail(error instanceof WeftError ? error : new WeftError('DISPOSED', 'the load was aborted'));
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

async function connect(
  call: LoadCall,
  { shared, signal }: LoadOptions,
): Promise<{ connection: Connection; sharing: Sharing }> {
  if (!shared) return { connection: connectDedicated(), sharing: ALONE };
  try {
    return { connection: await connectShared(call, signal), sharing: { shared: true, notShared: null } };
  } catch (error) {
    signal?.throwIfAborted();
    const notShared = `The model is this tab's own: ${messageOf(error)}`;
    return { connection: connectDedicated(), sharing: { shared: false, notShared } };
  }
}
