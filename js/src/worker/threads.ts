/** The threads beside the worker's own: nested workers that join the engine's pool. */

import type { ThreadsBuild } from '../common/builds.js';
import type { SerializedError } from '../common/errors.js';
import { trusted } from '../common/trusted-types.js';

/** What a thread needs to join. */
export interface ThreadStart {
  readonly build: ThreadsBuild;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Gets a {@link SerializedError} when the thread crashes. */
  readonly crash: MessagePort;
}

/** The name of a worker that is a thread. */
export const THREAD = 'weft-thread';

/**
 * A worker of the same file as this one. Undefined where the browser forbids it at once, by a
 * content security policy for example.
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

  /** Threads that compute, as far as is known: one that could not start is not counted once it has said so. */
  get running(): number {
    return 1 + this.#running;
  }

  /**
   * Starts `count` threads and waits for none: each joins when it is ready. `watch` gets a port for each, from which a
   * {@link SerializedError} comes if the thread crashes. The page must have it: this worker may be waiting for that very thread.
   */
  start(count: number, what: Omit<ThreadStart, 'crash'>, watch: (crash: MessagePort) => void): void {
    for (let asked = 0; asked < count; asked += 1) {
      const worker = startWorker();
      if (!worker) return;
      this.#running += 1;
      worker.onerror = (event) => {
        // One thread less; unhandled, it would end the model.
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
