/** Loads models, one at a time. A model is replaced only by one that works. */

import { load, WeftError, type Llm, type LoadOptions, type ModelSource, type Progress } from 'weft-llm';
import { DEFAULT_MODEL } from './model-picker.js';
import { isGiven } from './models/served.js';
import { loadSettings } from './settings.js';

/** `replaced`: another load began meanwhile. */
export type Outcome =
  { kind: 'loaded'; model: Llm } | { kind: 'failed'; error: unknown } | { kind: 'cancelled' } | { kind: 'replaced' };

/** `general.architecture`, the type of a string, its length, and that of a projector's file. */
const PROJECTOR = /general\.architecture[\s\S]{12}clip/;

/** Tells a projector that was chosen together with its model from that. */
async function partsOf(wanted: ModelSource): Promise<Pick<LoadOptions, 'model' | 'projector'>> {
  const files = Array.isArray(wanted) ? wanted.filter((file) => file instanceof File) : [];
  const heads = await Promise.all(files.map((file) => file.slice(0, 4096).arrayBuffer()));
  const projector = files.find((_, index) => PROJECTOR.test(new TextDecoder('latin1').decode(heads[index])));
  const model = files.filter((file) => file !== projector);
  return projector && model.length > 0 ? { model, projector } : { model: wanted };
}

export class ModelLoader {
  model: Llm | null = null;
  /** Where the loaded model came from. */
  source: ModelSource = DEFAULT_MODEL;
  /** How long the last load took. */
  readyMs = 0;
  /** What was asked for last, loaded or not. */
  wanted: ModelSource = DEFAULT_MODEL;
  #loading: AbortController | null = null;

  async load(wanted: ModelSource, onProgress: (progress: Progress) => void): Promise<Outcome> {
    this.#loading?.abort();
    const current = new AbortController();
    this.#loading = current;
    this.wanted = wanted;
    const began = performance.now();
    const isCurrent = () => current === this.#loading;
    try {
      const store = !isGiven(wanted);
      const options = { ...(await partsOf(wanted)), ...loadSettings(), store, prefixCache: { persist: store } };
      const model = await load({
        ...options,
        signal: current.signal,
        onProgress: (progress) => isCurrent() && onProgress(progress),
      });
      if (!isCurrent()) {
        model.dispose();
        return { kind: 'replaced' };
      }
      this.unload();
      this.model = model;
      this.source = wanted;
      this.readyMs = performance.now() - began;
      return { kind: 'loaded', model };
    } catch (error) {
      if (!isCurrent()) return { kind: 'replaced' };
      if (current.signal.aborted) return { kind: 'cancelled' };
      // There may be memory for the new model only.
      if (this.model && error instanceof WeftError && error.code === 'OUT_OF_MEMORY') {
        this.unload();
        return this.load(wanted, onProgress);
      }
      return { kind: 'failed', error };
    }
  }

  cancel(): void {
    this.#loading?.abort();
  }

  unload(): void {
    this.model?.dispose();
    this.model = null;
  }
}
