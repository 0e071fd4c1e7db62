/** Ends what the runtime has begun. */

import type { RuntimeLlm } from './runtime.js';

/** `handle`: of a generation, or of what `restore` began. */
export function stop(llm: RuntimeLlm, handle: number): void {
  try {
    llm.stop(handle);
  } catch {
    // A crashed module throws at every call, which would hide the crash. A model that was lost and
    // freed has nothing to stop.
  }
}
