/** Reports the progress of `create`. */

import type { Progress } from '../types/index.js';
import type { CreateMonitor } from './types.js';

class Monitor extends EventTarget implements CreateMonitor {
  ondownloadprogress: CreateMonitor['ondownloadprogress'] = null;
  #told = -1;

  /** `loaded`: from 0 to 1. Reports only increases. */
  tell(loaded: number): void {
    if (loaded <= this.#told) return;
    this.#told = loaded;
    const event = Object.assign(new Event('downloadprogress'), { loaded, total: 1, lengthComputable: true });
    this.ondownloadprogress?.(event);
    this.dispatchEvent(event);
  }

  /** Takes progress before the end; the end is reported when the model is ready. */
  hear({ loaded, total }: Progress): void {
    if (total) this.tell(Math.min(loaded / total, 1 - Number.EPSILON));
  }
}

/** Shows the monitor to the caller, then reports the start. */
export function monitorFor(show: ((monitor: CreateMonitor) => void) | undefined): Monitor {
  const monitor = new Monitor();
  show?.(monitor);
  monitor.tell(0);
  return monitor;
}
