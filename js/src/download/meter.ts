/** Counts what came, for the progress that is told. */

import type { Progress } from '../types/index.js';

/** Milliseconds over which the rate is taken: it neither jumps nor lags much. */
const MEMORY = 4000;

/** Milliseconds between two samples. */
const SAMPLE = 100;

type Counts = Omit<Progress, 'phase' | 'note'>;

export class Meter {
  readonly #changed: () => void;
  #loaded = 0;
  #fromStore = 0;
  #name = '';
  #index = 0;
  #fileLoaded = 0;
  /** Of each file; null while it is not known. */
  #sizes: (number | null)[] = [];
  /** Bytes of what came before them. */
  #before = 0;
  /** Bytes of all of it, as somebody says who may be a little wrong. */
  #about: number | null = null;
  /** When it was and how much had come by network; a window over the last seconds. */
  readonly #samples: { readonly at: number; readonly bytes: number }[] = [];

  /** `changed`: called whenever bytes came. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Sizes of all files in bytes, as far as they are known. What came until now is beside them. */
  files(sizes: readonly (number | null)[]): void {
    this.#sizes = [...sizes];
    this.#before = this.#loaded;
  }

  /** Bytes of these files, nearly: for as long as the size of one is unknown. */
  about(bytes: number): void {
    this.#about = this.#before + bytes;
  }

  /** A file begins. */
  file(index: number, name: string): void {
    this.#index = index;
    this.#name = name;
    this.#fileLoaded = 0;
  }

  /** The size of the file that is read became known. What is read before {@link Meter.files} is none of them. */
  size(bytes: number | null): void {
    if (this.#index < this.#sizes.length) this.#sizes[this.#index] = bytes;
  }

  /** Bytes of all files; null while the size of one is unknown. */
  get total(): number | null {
    if (this.#sizes.length === 0) return null;
    const add = (sum: number | null, size: number | null) => (sum === null || size === null ? null : sum + size);
    return this.#sizes.reduce(add, this.#before);
  }

  received(bytes: number): void {
    this.#loaded += bytes;
    this.#fileLoaded += bytes;
    this.#sample();
    this.#changed();
  }

  fromStore(bytes: number): void {
    this.#loaded += bytes;
    this.#fileLoaded += bytes;
    this.#fromStore += bytes;
    this.#changed();
  }

  /** Bytes by network, and from the store. */
  get sums(): { readonly fetchedBytes: number; readonly fromStoreBytes: number } {
    return { fetchedBytes: this.#loaded - this.#fromStore, fromStoreBytes: this.#fromStore };
  }

  /** `header`: what the model's header says of the size of its own file. */
  counts(header: number | null): Counts {
    const all = this.total ?? this.#about ?? (this.#sizes.length === 1 ? header : null);
    const rate = this.#rate();
    return {
      loaded: this.#loaded,
      total: all,
      file: this.#name,
      fileLoaded: this.#fileLoaded,
      fileTotal: this.#sizes[this.#index] ?? null,
      fromStore: this.#fromStore,
      bytesPerSecond: rate,
      secondsLeft: rate && all !== null ? Math.max(0, all - this.#loaded) / rate : null,
    };
  }

  #sample(): void {
    const at = performance.now();
    const last = this.#samples.at(-1);
    if (last && at - last.at < SAMPLE) return;
    this.#samples.push({ at, bytes: this.#loaded - this.#fromStore });
    while (this.#samples[0]!.at < at - MEMORY) this.#samples.shift();
  }

  #rate(): number | null {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.at <= first.at) return null;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
  }
}
