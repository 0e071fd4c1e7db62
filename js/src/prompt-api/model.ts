/** The model of all sessions: loaded for the first one, and kept. */

import { unlessAborted } from '../common/signals.js';
import { partsOf } from '../common/source.js';
import { checkLlm } from '../options/check.js';
import { checkSource } from '../options/source.js';
import { load } from '../page/load.js';
import { models } from '../page/models.js';
import type { FileLike, Llm, LoadOptions, Progress } from '../types/index.js';
import type { Availability } from './types.js';

/** What to load, or a loaded model. */
export type PromptApiModel = Omit<LoadOptions, 'signal' | 'onProgress'> | { readonly llm: Llm };

/** A session that waits for the model. */
interface Waiting {
  onProgress(progress: Progress): void;
}

class Configured {
  readonly #options: PromptApiModel;
  readonly #waiting = new Set<Waiting>();
  #llm: Llm | undefined;
  #loading: Promise<Llm> | undefined;
  #stop = new AbortController();

  constructor(options: PromptApiModel) {
    this.#options = options;
    if ('llm' in options) this.#llm = checkLlm(options.llm, 'session');
  }

  /** Loads the model once for all who wait. When all of them have given up, loading stops. */
  async get(signal: AbortSignal, onProgress: (progress: Progress) => void): Promise<Llm> {
    if (this.#llm) return this.#llm;
    const waiting: Waiting = { onProgress };
    this.#waiting.add(waiting);
    this.#loading ??= this.#load();
    try {
      return await unlessAborted(this.#loading, signal);
    } finally {
      this.#waiting.delete(waiting);
      if (this.#waiting.size === 0 && !this.#llm) this.#giveUp();
    }
  }

  async #load(): Promise<Llm> {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const onProgress = (progress: Progress) => this.#waiting.forEach((waiting) => waiting.onProgress(progress));
    return (this.#llm = await load({ ...(this.#options as LoadOptions), signal, onProgress }));
  }

  #giveUp(): void {
    this.#stop.abort();
    this.#loading = undefined;
  }

  /** Whether it reads pictures. */
  get sees(): boolean {
    if ('llm' in this.#options) return this.#options.llm.info.inputs.includes('image');
    return this.#options.projector !== undefined;
  }

  async availability(): Promise<Availability> {
    if (this.#llm) return 'available';
    if (this.#loading) return 'downloading';
    if (typeof Worker === 'undefined' || 'llm' in this.#options) return 'unavailable';
    return (await isAtHand(this.#options)) ? 'available' : 'downloadable';
  }

  /** Must be called when the model is gone; the next session loads it again. */
  forget(llm: Llm): void {
    if (this.#llm !== llm) return;
    this.#llm = undefined;
    this.#loading = undefined;
  }

  /** Frees the model if it was loaded here. */
  dispose(): void {
    this.#giveUp();
    if (!('llm' in this.#options)) this.#llm?.dispose();
  }
}

/** Whether all files are local or stored, so that nothing is downloaded. */
async function isAtHand({ model, projector, store, hub, token }: LoadOptions): Promise<boolean> {
  const all = (Array.isArray(model) ? model : [model]) as readonly FileLike[];
  const files = projector === undefined ? all : [...all, projector];
  const addresses = files
    .filter((file) => typeof file === 'string' || file instanceof URL)
    .map((file) => checkSource('model', file, hub, token));
  if (addresses.length === 0) return true;
  if (store === false) return false;
  const stored = await models.list().catch(() => []);
  const complete = (key: string) => stored.some((file) => file.source === key && file.complete);
  return addresses.every(({ type, key }) => {
    if (type === 'address') return partsOf(key).every(complete);
    const [start = '', end = ''] = key.split('*');
    const own = stored.filter(({ source }) => source.startsWith(start) && source.endsWith(end));
    return own.length > 0 && own.every((file) => file.complete);
  });
}

let configured: Configured | undefined;

/**
 * Chooses the model of `LanguageModel`: options for `load`, a loaded model, or `null` for none. The
 * previous model is freed if it was loaded here; its sessions end.
 */
export function configure(model: PromptApiModel | null): void {
  configured?.dispose();
  configured = model ? new Configured(model) : undefined;
}

export function theModel(): Configured | undefined {
  return configured;
}
