/** The engine's threads beside its worker, as the page and the worker see them. */

import type { ThreadsBuild } from './builds.js';

/** Name of a worker that is a thread. */
export const THREAD = 'weft-thread';

/** What a thread needs to join the engine's pool. */
export interface ThreadStart {
  readonly build: ThreadsBuild;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

/** What the worker asks of the page. */
export interface ThreadsAsked {
  readonly count: number;
  readonly start: ThreadStart;
  /** Gets a message for each thread that does not start. */
  readonly failed: MessagePort;
}
