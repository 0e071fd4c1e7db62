// Storage in memory, behind the interfaces of the store: what a browser keeps from one visit to the next.

import { Meter } from '../../dist/download/meter.js';
import { ModelReader } from '../../dist/download/model.js';
import { Manifests } from '../../dist/store/manifest.js';
import { FakeSha256, loadCall } from './fake.mjs';

export class MemoryTable {
  entries_ = new Map();
  get = async (key) => structuredClone(this.entries_.get(key));
  set = async (key, value) => void this.entries_.set(key, structuredClone(value));
  delete = async (keys) => keys.forEach((key) => this.entries_.delete(key));
  entries = async (prefix) =>
    structuredClone([...this.entries_].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** As a file system does, it gives copies. */
export class MemoryBlobs {
  kind = 'opfs';
  files = new Map();
  get = async (hash) => this.files.get(hash)?.slice();
  put = async (hash, bytes) => void this.files.set(hash, bytes.slice());
  delete = async (hash) => void this.files.delete(hash);
  list = async () => [...this.files.keys()];
  get bytes() {
    return [...this.files.values()].reduce((sum, { length }) => sum + length, 0);
  }
}

/** Web Locks of one origin: whoever asks first has it first. */
export class MemoryLocks {
  #queues = new Map();

  async tryHold(name) {
    return this.#queues.has(name) ? undefined : this.hold(name);
  }

  /** Who shares it with others waits for the last one who did not, and is waited for with the others. */
  hold(name, { mode = 'exclusive' } = {}) {
    const last = this.#queues.get(name);
    const joins = mode === 'shared' && last?.mode === 'shared';
    const before = joins ? last.before : (last?.over ?? Promise.resolve());
    let release;
    const held = new Promise((resolve) => (release = resolve));
    const mine = { mode, before, over: Promise.all([before, held, joins && last.over]) };
    this.#queues.set(name, mine);
    void mine.over.then(() => this.#queues.get(name) === mine && this.#queues.delete(name));
    return before.then(() => release);
  }
}

/** A browser: what stays from one load to the next, and pauses that take no time. */
export class Visitor {
  blobs = new MemoryBlobs();
  manifests = new Manifests(new MemoryTable());
  locks = new MemoryLocks();
  quota = Infinity;
  /** Milliseconds of every pause. */
  pauses = [];

  downloads = {
    stallMs: 30_000,
    fetch: (url, init) => fetch(url, init),
    sleep: async (milliseconds) => {
      this.pauses.push(milliseconds);
      await new Promise(setImmediate);
    },
    storage: async () => ({
      blobs: this.blobs,
      manifests: this.manifests,
      locks: this.locks,
      estimate: async () => ({ usage: this.blobs.bytes, quota: this.quota }),
    }),
    locks: this.locks,
  };

  /**
   * Reads a model as the worker does, up to `upTo` bytes: then the tab closes. Returns what the engine got, with what was told, or
   * throws with it.
   */
  async load(files, { upTo = Infinity, store = {}, sha256 = [], onPiece = () => {} } = {}) {
    const notes = [];
    const meter = new Meter(() => {});
    const note = (sentence) => notes.push(sentence);
    const around = { ...this.downloads, store, meter, note, hasher: async () => new FakeSha256() };
    const model = new ModelReader(loadCall([files].flat()).files, sha256, around);
    const pieces = [];
    let length = 0;
    for await (const { bytes } of model.pieces()) {
      pieces.push(Buffer.from(bytes));
      length += bytes.length;
      await onPiece(length, meter.sums.fetchedBytes);
      if (length >= upTo) break;
    }
    // A tab that closes loses what was under way; here it is let through, so that the next step finds a quiet store.
    if (length >= upTo) await new Promise((resolve) => setTimeout(resolve, 50));
    else await model.settle();
    return { bytes: Buffer.concat(pieces), notes, counts: meter.counts(null), ...meter.sums, storage: model.storage };
  }
}
