/** The progress of a load: phase, amount, rate and time left. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import type { Progress } from 'weft-llm';
import { Component, formatBytes } from './component.js';
import { plainNote } from './errors.js';

/** Figures that change more often are unreadable. */
const FIGURES_MS = 200;

/** Sends `cancel`. */
export class LoadingView extends Component {
  static override properties: PropertyDeclarations = { progress: { attribute: false }, keeps: { type: Boolean } };
  declare progress: Progress | null;
  /** Whether what has arrived stays in the browser's storage when the load is cancelled. */
  declare keeps: boolean;
  #note = '';
  #amount = '';
  #phase = '';
  #shownAt = 0;

  constructor() {
    super();
    this.progress = null;
    this.keeps = false;
  }

  protected override willUpdate(): void {
    const { progress } = this;
    if (!progress) {
      this.#note = this.#amount = this.#phase = '';
      return;
    }
    if (progress.note) this.#note = plainNote(progress.note);
    const phase = phaseOf(progress);
    const now = performance.now();
    if (phase === this.#phase && now - this.#shownAt < FIGURES_MS && progress.loaded !== progress.total) return;
    this.#phase = phase;
    this.#shownAt = now;
    this.#amount = progress.phase === 'download' ? describe(progress) : progress.file;
  }

  protected override render(): TemplateResult {
    const { progress } = this;
    const pauses = this.keeps && progress?.phase === 'download' && this.#note === '';
    const known = progress?.phase === 'download' && progress.total !== null;
    return html`<section id="loading" aria-labelledby="phase">
      <h1 id="phase" aria-live="polite">${this.#phase || 'Starting the engine'}</h1>
      <progress
        id="progress"
        data-testid="progress"
        aria-labelledby="phase"
        aria-describedby="amount"
        max=${known ? progress.total! : nothing}
        value=${known ? progress.loaded : nothing}
      ></progress>
      <p id="amount">${this.#amount || '\u00a0'}</p>
      <p class="hint" id="load-note" role="status">${this.#note}</p>
      ${
        pauses
          ? html`<p class="hint" id="load-keeps">
              What has arrived is kept in this browser: Pause now, and Resume goes on from there.
            </p>`
          : nothing
      }
      <button type="button" id="cancel-load" data-testid="cancel-load" @click=${this.#cancel}>
        ${pauses ? 'Pause' : 'Cancel'}
      </button>
    </section>`;
  }

  #cancel(): void {
    this.dispatchEvent(new Event('cancel'));
  }
}

function phaseOf({ phase, fromStore, loaded }: Progress): string {
  switch (phase) {
    case 'start':
      return 'Starting the engine';
    case 'prepare':
      return 'Preparing: a first run of the model';
    case 'download':
      return fromStore > 0 && fromStore === loaded ? 'Reading the model from this device' : 'Downloading the model';
  }
}

function describe({ loaded, total, file, fromStore, bytesPerSecond, secondsLeft }: Progress): string {
  const parts = [total === null ? formatBytes(loaded) : `${formatBytes(loaded)} of ${formatBytes(total)}`];
  if (fromStore > 0 && fromStore !== loaded) parts.push(`${formatBytes(fromStore)} from this device`);
  if (bytesPerSecond !== null && loaded !== total) parts.push(`${formatBytes(bytesPerSecond)}/s`);
  if (secondsLeft !== null && loaded !== total) parts.push(timeLeft(secondsLeft));
  return [...parts, file].filter(Boolean).join(' · ');
}

function timeLeft(seconds: number): string {
  if (seconds < 1) return 'almost there';
  return seconds < 90 ? `${Math.ceil(seconds)} s left` : `${Math.ceil(seconds / 60)} min left`;
}

customElements.define('loading-view', LoadingView);
