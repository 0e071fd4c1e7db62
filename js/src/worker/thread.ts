/** A nested worker that computes: it joins the pool of the engine whose memory it is given, and stays there. */

import { serializeError } from '../common/errors.js';
import { glues } from './glues.js';
import type { ThreadStart } from './threads.js';

export function serveThread(): void {
  globalThis.onmessage = async ({ data }: MessageEvent<ThreadStart>) => {
    const { build, module, memory, crash } = data;
    const { default: init, join_pool } = glues[build];
    try {
      await init({ module_or_path: module, memory });
    } catch (error) {
      // Becomes this worker's error event, which costs a thread and nothing else.
      return reportError(error);
    }
    try {
      join_pool();
    } catch (error) {
      crash.postMessage(serializeError(error));
    }
  };
}
