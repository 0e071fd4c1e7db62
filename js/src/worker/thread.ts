/** A worker that computes: it joins the thread pool of the engine whose memory it gets. */

import { serializeError, type SerializedError } from '../common/errors.js';
import type { ThreadStart } from '../common/threads.js';
import { glues } from './glues.js';

export function serveThread(): void {
  const page = globalThis as unknown as { postMessage(crash: SerializedError): void };
  globalThis.onmessage = async ({ data }: MessageEvent<ThreadStart>) => {
    const { build, module, memory } = data;
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
      page.postMessage(serializeError(error));
    }
  };
}
