/** A nested worker that computes: it joins the thread pool of the engine whose memory it gets. */

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
      // Becomes this worker's error event: one thread less, nothing worse.
      return reportError(error);
    }
    try {
      join_pool();
    } catch (error) {
      crash.postMessage(serializeError(error));
    }
  };
}
