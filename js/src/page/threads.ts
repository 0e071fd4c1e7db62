/**
 * Starts the engine's other threads, in place of the engine's worker: in Firefox, `new Worker`
 * within a worker may never return. The new worker waits for events, the old one for the
 * registration of the new one, both at one condition variable, and Firefox wakes one of them.
 */

import type { SerializedError } from '../common/errors.js';
import { THREAD, type ThreadsAsked } from '../common/threads.js';
import { spawn, type Spawned } from './spawn.js';

export class Threads {
  readonly #spawned: Spawned<Worker>[] = [];

  /** `onCrash`: the engine's worker may be waiting for a thread that has crashed. */
  start({ count, start, failed }: ThreadsAsked, onCrash: (error: SerializedError) => void): void {
    const fail = () => failed.postMessage(null);
    for (let asked = 0; asked < count; asked += 1) {
      const spawned = spawnThread();
      if (!spawned) {
        fail();
        continue;
      }
      this.#spawned.push(spawned);
      const { worker } = spawned;
      worker.onerror = (event) => {
        // One thread less. Unhandled, the error would be the page's.
        event.preventDefault();
        fail();
      };
      worker.onmessage = ({ data }: MessageEvent<SerializedError>) => onCrash(data);
      worker.postMessage(start);
    }
  }

  end(): void {
    for (const { worker, release } of this.#spawned.splice(0)) {
      worker.terminate();
      release();
    }
  }
}

/** Undefined if the browser refuses. */
function spawnThread(): Spawned<Worker> | undefined {
  try {
    return spawn((url) => new Worker(url, { type: 'module', name: THREAD }));
  } catch {
    return undefined;
  }
}
