/** How far loading is: phase, bytes, speed and the time that is left. */
import type { Progress } from 'weft-llm';
import { byId, oncePerFrame } from './dom';
import { bytes, duration } from './units';

/** Speed is measured over this long, so that it neither jumps nor lags. */
const speedWindowMs = 4000;

export class LoadingView {
  readonly #phase = byId('phase', HTMLElement);
  readonly #bar = byId('progress', HTMLProgressElement);
  readonly #amount = byId('amount', HTMLElement);
  readonly #frame = oncePerFrame(() => this.#draw());
  #progress: Progress = { phase: 'start', loaded: 0, total: null, file: '' };
  /** When how many bytes had come, oldest first. */
  #samples: { time: number; loaded: number }[] = [];

  constructor(cancel: () => void) {
    byId('cancel-load', HTMLButtonElement).addEventListener('click', cancel);
  }

  begin(): void {
    this.#samples = [];
    this.update({ phase: 'start', loaded: 0, total: null, file: '' });
  }

  update(progress: Progress): void {
    this.#progress = progress;
    const time = performance.now();
    this.#samples.push({ time, loaded: progress.loaded });
    while (this.#samples.length > 2 && time - (this.#samples[0]?.time ?? time) > speedWindowMs) this.#samples.shift();
    this.#frame.request();
  }

  #draw(): void {
    const { phase, loaded, total, file } = this.#progress;
    const words = {
      start: 'Starting the engine',
      download: file ? `Reading ${file}` : 'Reading the model',
      prepare: 'Warming up',
    }[phase];
    // Written only when it changes, because every change is announced.
    if (this.#phase.textContent !== words) this.#phase.textContent = words;
    if (phase === 'download' && total !== null) {
      this.#bar.max = total;
      this.#bar.value = loaded;
    } else {
      this.#bar.removeAttribute('value');
    }
    this.#amount.textContent = phase === 'download' ? this.#amountWords(loaded, total) : '';
  }

  #amountWords(loaded: number, total: number | null): string {
    const words = [total === null ? bytes(loaded) : `${bytes(loaded)} of ${bytes(total)}`];
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first && last && last.time - first.time > 500) {
      const perMs = (last.loaded - first.loaded) / (last.time - first.time);
      words.push(`${bytes(perMs * 1000)}/s`);
      if (total !== null && perMs > 0) words.push(`${duration(Math.max(1000, (total - loaded) / perMs))} left`);
    }
    return words.join(' · ');
  }
}
