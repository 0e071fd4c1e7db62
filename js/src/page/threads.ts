/**
 * Starts the engine's other threads. The page does so because a worker cannot be trusted to: in
 * Firefox, `new Worker` within a worker may never return. There the new worker's thread and the
 * thread that waits for its registration wait for one condition variable, and only one of them is
 * woken.
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
