/** The progress of a load: what happens, how much of it, how fast, and how long yet. */

import type { Progress } from 'weft-llm';
import { byId, formatBytes } from './dom.js';

const phase = byId('phase', HTMLElement);
const bar = byId('progress', HTMLProgressElement);
const amount = byId('amount', HTMLElement);

const phases: Record<Progress['phase'], string> = {
  start: 'Starting the engine',
  download: 'Reading the model',
  prepare: 'Preparing: a first run of the model',
};

/** The speed is that of the last seconds, so that it follows a changing network. */
const WINDOW_MS = 4000;

export class LoadingView {
  #samples: { time: number; loaded: number }[] = [];
  #shownAt = 0;

  constructor() {
    phase.textContent = phases.start;
    bar.removeAttribute('value');
    amount.textContent = '\u00a0';
  }

  update({ phase: current, loaded, total, file }: Progress): void {
    const now = performance.now();
    if (phase.textContent !== phases[current]) {
      phase.textContent = phases[current];
      this.#shownAt = 0;
    }
    if (current !== 'download' || total === null) bar.removeAttribute('value');
    else {
      bar.max = total;
      bar.value = loaded;
    }
    this.#samples = this.#samples.filter(({ time }) => now - time < WINDOW_MS);
    this.#samples.push({ time: now, loaded });
    // A figure that changes more often cannot be read.
    if (now - this.#shownAt < 200 && loaded !== total) return;
    this.#shownAt = now;
    amount.textContent = current === 'download' ? this.#describe(loaded, total, file) : file || '\u00a0';
  }

  #describe(loaded: number, total: number | null, file: string): string {
    const parts = [total === null ? formatBytes(loaded) : `${formatBytes(loaded)} of ${formatBytes(total)}`];
    const [first] = this.#samples;
    const elapsed = first ? performance.now() - first.time : 0;
    if (first && elapsed > 500 && loaded > first.loaded) {
      const speed = (loaded - first.loaded) / elapsed; // bytes per ms
      parts.push(`${formatBytes(speed * 1000)}/s`);
      if (total !== null) parts.push(timeLeft((total - loaded) / speed / 1000));
    }
    return [...parts, file].filter(Boolean).join(' · ');
  }
}

function timeLeft(seconds: number): string {
  if (seconds < 1) return 'almost there';
  return seconds < 90 ? `${Math.ceil(seconds)} s left` : `${Math.ceil(seconds / 60)} min left`;
}
