/** A nested worker that computes: it joins the pool of the engine whose memory it is given, and stays there. */

import { glues } from './builds.js';
import { serializeError } from './errors.js';
import type { ThreadStart } from './threads.js';

globalThis.onmessage = async ({ data }: MessageEvent<ThreadStart>) => {
  const { build, module, memory, crash } = data;
  let join;
  try {
    const { default: init, join_pool } = await glues[build]();
    await init({ module_or_path: module, memory });
    join = join_pool;
  } catch (error) {
    // Becomes this worker's error event, which costs a thread and nothing else.
    return reportError(error);
  }
  try {
    join();
  } catch (error) {
    crash.postMessage(serializeError(error));
  }
};
