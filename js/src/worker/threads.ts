/** Additional threads: nested workers that join the engine's pool. */

import type { ThreadsBuild } from '../common/builds.js';
import { trusted } from '../common/trusted-types.js';

/** What a thread needs to join the pool. */
export interface ThreadStart {
  readonly build: ThreadsBuild;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Gets a {@link SerializedError} when the thread crashes. */
  readonly crash: MessagePort;
}

/** Name of a worker that is a thread. */
export const THREAD = 'weft-thread';

/**
 * Starts a worker with this worker's file. Undefined if the browser forbids it, by a content
 * security policy for example.
 */
function startWorker(): Worker | undefined {
  try {
    return new Worker(trusted(globalThis.location.href), { type: 'module', name: THREAD });
  } catch {
    return undefined;
  }
}

export class Threads {
  #running = 0;

  /** Number of threads that compute. One that fails to start counts until it reports that. */
  get running(): number {
    return 1 + this.#running;
  }

  /**
   * Starts `count` threads without waiting; each joins when it is ready. `watch` gets a port for
   * each that sends a {@link SerializedError} if the thread crashes. It must go to the page,
   * because this worker may be waiting for the thread.
   */
  start(count: number, what: Omit<ThreadStart, 'crash'>, watch: (crash: MessagePort) => void): void {
    for (let asked = 0; asked < count; asked += 1) {
      const worker = startWorker();
      if (!worker) return;
      this.#running += 1;
      worker.onerror = (event) => {
        // One thread less. Unhandled, the error would end the model.
        event.preventDefault();
        this.#running -= 1;
      };
      const { port1, port2 } = new MessageChannel();
      const start: ThreadStart = { ...what, crash: port1 };
      worker.postMessage(start, [port1]);
      watch(port2);
    }
  }
}
