/** Counts received bytes for the progress reports. */

import type { Progress } from '../types/index.js';

/** Window of the rate in milliseconds, a balance of smooth and current. */
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
  /** Sizes of the files; null while unknown. */
  #sizes: (number | null)[] = [];
  /** Bytes that were read before them. */
  #before = 0;
  /** Approximate total in bytes. */
  #about: number | null = null;
  /** Samples of the last seconds: time, and bytes from the network so far. */
  readonly #samples: { readonly at: number; readonly bytes: number }[] = [];

  /** `changed` is called whenever bytes arrive. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Sets the sizes of all files, null if unknown. Bytes read so far count separately. */
  files(sizes: readonly (number | null)[]): void {
    this.#sizes = [...sizes];
    this.#before = this.#loaded;
  }

  /** Sets an approximate total, used while the size of a file is unknown. */
  about(bytes: number): void {
    this.#about = this.#before + bytes;
  }

  /** Starts a file. */
  file(index: number, name: string): void {
    this.#index = index;
    this.#name = name;
    this.#fileLoaded = 0;
  }

  /**
   * Sets the size of the current file. Files that are read before {@link Meter.files} do not count.
   */
  size(bytes: number | null): void {
    if (this.#index < this.#sizes.length) this.#sizes[this.#index] = bytes;
  }

  /** Bytes of all files; null while one size is unknown. */
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

  /** Bytes from the network and from the store. */
  get sums(): { readonly fetchedBytes: number; readonly fromStoreBytes: number } {
    return { fetchedBytes: this.#loaded - this.#fromStore, fromStoreBytes: this.#fromStore };
  }

  /** `header`: size of the model's file according to its header. */
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
