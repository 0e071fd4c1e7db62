/** Shows the progress of a load: phase, amount, rate and time left. */

import type { Progress } from 'weft-llm';
import { byId, formatBytes } from './dom.js';

const phase = byId('phase', HTMLElement);
const bar = byId('progress', HTMLProgressElement);
const amount = byId('amount', HTMLElement);
const note = byId('load-note', HTMLElement);

const phases: Record<Progress['phase'], string> = {
  start: 'Starting the engine',
  download: 'Reading the model',
  prepare: 'Preparing: a first run of the model',
};

export class LoadingView {
  #shownAt = 0;

  constructor() {
    phase.textContent = phases.start;
    bar.removeAttribute('value');
    amount.textContent = '\u00a0';
    note.textContent = '';
  }

  update(progress: Progress): void {
    const { phase: current, loaded, total, file } = progress;
    const now = performance.now();
    if (phase.textContent !== phases[current]) {
      phase.textContent = phases[current];
      this.#shownAt = 0;
    }
    if (progress.note) note.textContent = progress.note;
    if (current !== 'download' || total === null) bar.removeAttribute('value');
    else {
      bar.max = total;
      bar.value = loaded;
    }
    // Figures that change more often are unreadable.
    if (now - this.#shownAt < 200 && loaded !== total) return;
    this.#shownAt = now;
    amount.textContent = current === 'download' ? describe(progress) : file || '\u00a0';
  }
}

function describe({ loaded, total, file, fromStore, bytesPerSecond, secondsLeft }: Progress): string {
  const parts = [total === null ? formatBytes(loaded) : `${formatBytes(loaded)} of ${formatBytes(total)}`];
  if (fromStore > 0)
    parts.push(fromStore === loaded ? 'from this device' : `${formatBytes(fromStore)} from this device`);
  if (bytesPerSecond !== null && loaded !== total) parts.push(`${formatBytes(bytesPerSecond)}/s`);
  if (secondsLeft !== null && loaded !== total) parts.push(timeLeft(secondsLeft));
  return [...parts, file].filter(Boolean).join(' · ');
}

function timeLeft(seconds: number): string {
  if (seconds < 1) return 'almost there';
  return seconds < 90 ? `${Math.ceil(seconds)} s left` : `${Math.ceil(seconds / 60)} min left`;
}
