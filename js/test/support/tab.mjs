// What one tab does in the tests of downloads and of the store, in Node as in a browser's worker: it reads a model as the package's
// worker does, and looks into the store. What goes in and comes out is plain data.

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

  /** `downloads` of the browser; `hasher()` begins a SHA-256. */
  constructor(downloads, hasher) {
    this.#downloads = downloads;
    this.#hasher = hasher;
  }

  /**
   * Reads a model of one file or several, by addresses as text or as the worker gets them, up to
   * `upTo` bytes: then the reader stops, and where `quiet` waits for what is under way into the
   * store. `failAfter`: how many chunks the disk takes before it fails; `hangAfter`: before it
   * never answers. `sweeping`: the store is swept after each chunk, and `swept` has what went.
   * `stallMs`: of the connections; `answerMs`: of the storage. `onPiece(length, received)` is
   * awaited after each piece, and stops the reader where it gives `close`. Gives what the engine
   * got, with what was told, or the error. Pauses are noted and take no time.
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
   * The storage, which fails after so many chunks, or hangs; `stored` hears of each before it has a
   * name.
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

  /** Sources that are in the store, and for each what is written down of it. */
  async manifests() {
    return (await this.#downloads.storage()).manifests.all();
  }

  /** Lets the `index`th chunk of a file be `altered`, `torn` or `missing`. */
  async damage(url, index, how) {
    const { blobs, manifests } = await this.#downloads.storage();
    const hash = (await manifests.find(url)).chunks.get(index);
    if (how === 'missing') return blobs.delete(hash);
    const bytes = await blobs.get(hash);
    bytes[5] ^= 1;
    await blobs.put(hash, how === 'torn' ? bytes.slice(0, 99) : bytes);
  }

  /** Leaves a chunk that no file has. */
  async orphan(hash, length) {
    await (await this.#downloads.storage()).blobs.put(hash, new Uint8Array(length));
  }

  /** Bytes of the chunks that the manifests name. */
  async namedBytes() {
    return (await storedModels(this.#downloads).usage()).stored;
  }

  /** Number → SHA-256 of the chunks that are written down of a file. */
  chunks = async (url) => [...((await (await this.#downloads.storage()).manifests.find(url))?.chunks ?? [])];

  /** Deletes the file that was not used for longest. */
  evict = async () => evictOldest(await this.#downloads.storage(), 'least-recently-used', new Set());

  sweep = async () => sweep(await this.#downloads.storage());

  /** Sources and whether they are complete, as the page is told. */
  list = async () => (await storedModels(this.#downloads).list()).map(({ source, complete }) => [source, complete]);

  deleteModel(url, options) {
    return storedModels(this.#downloads).delete(url, options);
  }
}
