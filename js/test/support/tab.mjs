// A tab in the tests of downloads and the store, in Node or in a browser's worker: reads a model as
// the package's worker does, and inspects the store. Inputs and outputs are plain data.

import { Meter } from '../../dist/download/meter.js';
import { ModelReader } from '../../dist/download/model.js';
import { webAddress } from '../../dist/common/source.js';
import { digest } from '../../dist/store/digest.js';
import { storedModels } from '../../dist/page/models.js';
import { evictOldest } from '../../dist/store/room.js';
import { sweep } from '../../dist/store/sweep.js';

export class Tab {
  #downloads;
  #hasher;

  /** `downloads`: of the browser. `hasher()`: starts a SHA-256. */
  constructor(downloads, hasher) {
    this.#downloads = downloads;
    this.#hasher = hasher;
  }

  /**
   * Reads a model of one file or several, by URL or as the worker gets them. Returns what the
   * engine got and what was reported, or the error. Pauses are recorded and take no time.
   *
   * - `upTo`: the reader stops after this many bytes; with `quiet`, it waits for the store.
   * - `failAfter`: chunks that the disk takes before it fails; `hangAfter`: before it never
   *   answers.
   * - `sweeping`: sweeps the store after each chunk; `swept` has what was removed.
   * - `stallMs`: of connections; `answerMs`: of the storage.
   * - `onPiece(length, received)`: awaited after each piece; stops the reader by returning `close`.
   */
  async load(files, options = {}, onPiece) {
    const { upTo = Infinity, quiet = false, failAfter = Infinity, hangAfter = Infinity, sweeping = false } = options;
    const { stallMs, answerMs, store = {}, sha256 = [] } = options;
    const [notes, pauses, pieces, sweeps] = [[], [], [], []];
    const stored = (storage) => sweeping && sweeps.push(sweep(storage));
    const meter = new Meter(() => {});
    const model = new ModelReader(
      [files].flat().map((file) => (typeof file === 'string' ? webAddress(new URL(file)) : file)),
      sha256,
      {
        ...this.#downloads,
        ...(stallMs && { stallMs }),
        ...(answerMs && { answerMs }),
        storage: () => this.#watchedStorage(Math.min(failAfter, hangAfter), hangAfter < failAfter, stored),
        sleep: (milliseconds) => {
          pauses.push(milliseconds);
          return new Promise((resolve) => setTimeout(resolve, 5));
        },
        store,
        meter,
        note: (sentence) => notes.push(sentence),
        hasher: this.#hasher,
      },
    );
    const told = () => ({ notes, pauses, counts: meter.counts(null), ...meter.sums, storage: model.storage });
    try {
      let length = 0;
      for await (const { bytes } of model.pieces()) {
        pieces.push(bytes.slice());
        length += bytes.length;
        const said = await onPiece?.(length, meter.sums.fetchedBytes);
        if (length >= upTo || said === 'close') break;
      }
      if (length < upTo || quiet) await model.settle();
      const all = new Uint8Array(await new Blob(pieces).arrayBuffer());
      return { length, sha256: await digest(all), swept: await Promise.all(sweeps), ...told() };
    } catch ({ name, code, message }) {
      return { error: { name, code, message }, ...told() };
    }
  }

  /**
   * The storage, which fails or hangs after this many chunks. `stored` is called with each chunk
   * before it has a name.
   */
  async #watchedStorage(after, hangs, stored) {
    const storage = await this.#downloads.storage();
    let left = after;
    const put = async (...chunk) => {
      if (left === 0 && hangs) await new Promise(() => {});
      if (left === 0) throw new DOMException('the disk does not answer', 'UnknownError');
      left -= 1;
      await storage.blobs.put(...chunk);
      stored(storage);
    };
    return storage && { ...storage, blobs: { ...storage.blobs, put } };
  }

  /** The sources in the store and their manifests. */
  async manifests() {
    return (await this.#downloads.storage()).manifests.all();
  }

  /** Makes the `index`th chunk of a file `altered`, `torn` or `missing`. */
  async damage(url, index, how) {
    const { blobs, manifests } = await this.#downloads.storage();
    const hash = (await manifests.find(url)).chunks.get(index);
    if (how === 'missing') return blobs.delete(hash);
    const bytes = await blobs.get(hash);
    bytes[5] ^= 1;
    await blobs.put(hash, how === 'torn' ? bytes.slice(0, 99) : bytes);
  }

  /** Stores a chunk that belongs to no file. */
  async orphan(hash, length) {
    await (await this.#downloads.storage()).blobs.put(hash, new Uint8Array(length));
  }

  /** Bytes of the chunks that the manifests name. */
  async namedBytes() {
    return (await storedModels(this.#downloads).usage()).stored;
  }

  /** SHA-256 of the recorded chunks of a file, by index. */
  chunks = async (url) => [...((await (await this.#downloads.storage()).manifests.find(url))?.chunks ?? [])];

  /** Deletes the least recently used file. */
  evict = async () => evictOldest(await this.#downloads.storage(), 'least-recently-used', new Set());

  sweep = async () => sweep(await this.#downloads.storage());

  /** Sources, and whether they are complete, as the page sees them. */
  list = async () => (await storedModels(this.#downloads).list()).map(({ source, complete }) => [source, complete]);

  deleteModel(url, options) {
    return storedModels(this.#downloads).delete(url, options);
  }
}
