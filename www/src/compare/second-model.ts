/** A second model beside the page's: chosen, weighed, loaded, and given back. */

import { estimate, load, models, WeftError, type Estimate, type Llm, type ModelSource } from 'weft-llm';
import { formatBytes } from '../component.js';
import { explain } from '../errors.js';
import { isModel } from '../models/remembered.js';
import { loadSettings } from '../settings.js';
import { t, type Said } from '../text/text.js';

/** Chrome alone tells it, roughly. */
const deviceBytes = () => ((navigator as { deviceMemory?: number }).deviceMemory ?? Infinity) * 2 ** 30;

const NOTHING = () => '';

/** Calls `onChange` whenever something else is to be shown. */
export class SecondModel {
  /** Null: the page's own model answers twice. */
  source: ModelSource | null = null;
  model: Llm | null = null;
  readyMs = 0;
  /** What is known of its memory, or went wrong. */
  says: Said = NOTHING;
  /** Whether it can be loaded. */
  fits = false;
  /** How much of it is loaded, from 0 to 1; null while nothing loads. */
  progress: number | null = null;
  /** Those that load without a download. */
  stored: string[] = [];
  #work: AbortController | null = null;

  constructor(readonly onChange: () => void) {}

  async list(): Promise<void> {
    const all = await models.list().catch(() => []);
    this.stored = all.filter((one) => one.complete && isModel(one)).map(({ source }) => source);
    this.onChange();
  }

  /** Chooses a model and tells what it needs. `first`: bytes that the page's own takes. */
  async choose(source: ModelSource | null, first: number): Promise<void> {
    this.dispose();
    this.source = source;
    this.says = source === null ? NOTHING : () => t('second-reading');
    this.onChange();
    if (source === null) return;
    const { signal } = (this.#work = new AbortController());
    const { device, contextLength } = loadSettings();
    try {
      const needs = await estimate(source, contextLength === undefined ? { signal } : { signal, contextLength });
      if (signal.aborted) return;
      const fit = device === 'cpu' || !needs.gpu?.fits ? needs.cpu : needs.gpu;
      this.fits = fit.fits;
      this.says = () => (fit.fits ? memoryNote(needs, first) : t('second-does-not-fit', { reason: fit.reason ?? '' }));
    } catch (error) {
      if (signal.aborted) return;
      this.says = () => sentence(error);
    }
    this.onChange();
  }

  async load(): Promise<void> {
    if (this.source === null || this.progress !== null) return;
    const { signal } = (this.#work = new AbortController());
    const began = performance.now();
    this.progress = 0;
    this.onChange();
    try {
      const onProgress = ({ loaded, total }: { loaded: number; total: number | null }) => {
        if (signal.aborted) return;
        this.progress = total === null ? 0 : loaded / total;
        this.onChange();
      };
      const model = await load({ model: this.source, ...loadSettings(), signal, onProgress });
      if (signal.aborted) return model.dispose();
      this.model = model;
      this.readyMs = performance.now() - began;
      this.says = NOTHING;
    } catch (error) {
      if (signal.aborted) return;
      const full = error instanceof WeftError && error.code === 'OUT_OF_MEMORY';
      this.says = () => (full ? t('second-no-memory') : sentence(error));
    }
    this.progress = null;
    this.onChange();
  }

  /** Ends what is under way, and frees the model. */
  dispose(): void {
    this.#work?.abort();
    this.model?.dispose();
    this.model = this.progress = null;
    this.fits = false;
    this.says = NOTHING;
  }
}

function memoryNote({ totalBytes }: Estimate, first: number): string {
  const says = t('second-memory', { second: formatBytes(totalBytes), first: formatBytes(first) });
  const tight = totalBytes + first > deviceBytes() / 2;
  return tight ? `${says} ${t('second-tight')}` : says;
}

function sentence(error: unknown): string {
  const { title, text } = explain(error);
  return `${title}. ${text}`;
}
