/** The progress of a load: phase, amount, rate and time left. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import type { Progress } from 'weft-llm';
import { amountOf, Component, formatBytes } from './component.js';
import { plainNote } from './errors.js';
import { t } from './text/text.js';

/** Figures that change more often are unreadable. */
const FIGURES_MS = 200;

/** Sends `cancel`. */
export class LoadingView extends Component {
  static override properties: PropertyDeclarations = { progress: { attribute: false }, keeps: { type: Boolean } };
  declare progress: Progress | null;
  /** Whether what has arrived stays in the browser's storage when the load is cancelled. */
  declare keeps: boolean;
  #note = '';
  /** What the figures are of. */
  #shown: Progress | null = null;
  #shownAt = 0;

  constructor() {
    super();
    this.progress = null;
    this.keeps = false;
  }

  protected override willUpdate(): void {
    const { progress } = this;
    if (!progress) {
      this.#note = '';
      this.#shown = null;
      return;
    }
    if (progress.note) this.#note = progress.note;
    const now = performance.now();
    const isNew = this.#shown === null || phaseOf(progress) !== phaseOf(this.#shown);
    if (!isNew && now - this.#shownAt < FIGURES_MS && progress.loaded !== progress.total) return;
    this.#shown = progress;
    this.#shownAt = now;
  }

  protected override render(): TemplateResult {
    const { progress } = this;
    const shown = this.#shown;
    const amount = shown?.phase === 'download' ? describe(shown) : shown?.file;
    const pauses = this.keeps && progress?.phase === 'download' && this.#note === '';
    const known = progress?.phase === 'download' && progress.total !== null;
    return html`<section id="loading" aria-labelledby="phase">
      <h1 id="phase" aria-live="polite">${shown ? phaseOf(shown) : t('loading-start')}</h1>
      <progress
        id="progress"
        data-testid="progress"
        aria-labelledby="phase"
        aria-describedby="amount"
        max=${known ? progress.total! : nothing}
        value=${known ? progress.loaded : nothing}
      ></progress>
      <p id="amount">${amount || '\u00a0'}</p>
      <p class="hint" id="load-note" role="status">${plainNote(this.#note)}</p>
      ${pauses ? html`<p class="hint" id="load-keeps">${t('loading-keeps')}</p>` : nothing}
      <button type="button" id="cancel-load" data-testid="cancel-load" @click=${this.#cancel}>
        ${pauses ? t('loading-pause') : t('cancel')}
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
      return t('loading-start');
    case 'prepare':
      return t('loading-prepare');
    case 'download':
      return fromStore > 0 && fromStore === loaded ? t('loading-read') : t('loading-download');
  }
}

function describe({ loaded, total, file, fromStore, bytesPerSecond, secondsLeft }: Progress): string {
  const parts = [amountOf(loaded, total)];
  if (fromStore > 0 && fromStore !== loaded) parts.push(t('loading-from-store', { amount: formatBytes(fromStore) }));
  if (bytesPerSecond !== null && loaded !== total)
    parts.push(t('loading-rate', { amount: formatBytes(bytesPerSecond) }));
  if (secondsLeft !== null && loaded !== total) parts.push(timeLeft(secondsLeft));
  return [...parts, file].filter(Boolean).join(' · ');
}

function timeLeft(seconds: number): string {
  if (seconds < 1) return t('loading-almost');
  if (seconds < 90) return t('loading-seconds', { seconds: Math.ceil(seconds) });
  return t('loading-minutes', { minutes: Math.ceil(seconds / 60) });
}

customElements.define('loading-view', LoadingView);
