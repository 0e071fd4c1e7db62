// Storage in memory, behind the interfaces of the store: what a browser keeps between visits.

import { Manifests } from '../../dist/store/manifest.js';
import { FakeSha256 } from './fake.mjs';
import { Tab } from './tab.mjs';

/** Like IndexedDB, runs transactions one after the other and rolls back one that fails. */
export class MemoryTable {
  #rows = new Map();
  #last = Promise.resolve();

  atomically = (work) => {
    const done = this.#last.then(async () => {
      const before = new Map(this.#rows);
      try {
        return await work(this.#now);
      } catch (error) {
        this.#rows = before;
        throw error;
      }
    });
    this.#last = done.catch(() => {});
    return done;
  };
  get = (key) => this.atomically((rows) => rows.get(key));
  set = (key, value) => this.atomically((rows) => rows.set(key, value));
  delete = (keys) => this.atomically((rows) => rows.delete(keys));
  entries = (prefix) => this.atomically((rows) => rows.entries(prefix));

  #now = {
    get: async (key) => structuredClone(this.#rows.get(key)),
    set: async (key, value) => void this.#rows.set(key, structuredClone(value)),
    delete: async (keys) => keys.forEach((key) => this.#rows.delete(key)),
    entries: async (prefix) =>
      structuredClone([...this.#rows].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** Like a file system, returns copies. */
class MemoryBlobs {
  files = new Map();
  quota = Infinity;

  constructor(kind) {
    this.kind = kind;
  }

  get = async (hash) => this.files.get(hash)?.slice();
  put = async (hash, bytes) => {
    if (this.bytes + bytes.length > this.quota) throw new DOMException('no room', 'QuotaExceededError');
    this.files.set(hash, bytes.slice());
  };
  delete = async (hash) => void this.files.delete(hash);
  list = async () => [...this.files.keys()];

  get bytes() {
    return [...this.files.values()].reduce((sum, { length }) => sum + length, 0);
  }
}

/** Web Locks of one origin, granted in the order of requests. */
class MemoryLocks {
  #queues = new Map();

  async tryHold(name) {
    return this.#queues.has(name) ? undefined : this.hold(name);
  }

  /** A shared holder waits for the last exclusive one; an exclusive one waits for all. */
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

/** Headers that a page can read across origins, besides those that the server exposes. */
const SAFE = [
  'cache-control',
  'content-language',
  'content-length',
  'content-type',
  'expires',
  'last-modified',
  'pragma',
];

/** A fetch across origins, with a browser's rules. */
async function corsFetch(url, init) {
  const { body, status, statusText, headers } = await fetch(url, init);
  if (!headers.has('access-control-allow-origin')) {
    await body?.cancel();
    throw new TypeError('Failed to fetch');
  }
  const exposed = (headers.get('access-control-expose-headers') ?? '').toLowerCase().split(', ');
  const visible = [...headers].filter(([name]) => SAFE.includes(name) || exposed.includes(name));
  const response = new Response(body, { status, statusText, headers: visible });
  return Object.defineProperty(response, 'type', { value: 'cors' });
}

/**
 * A browser: what it keeps between loads, and its tabs. `storage`: `opfs`, `cache`, `refused`, or
 * `silent`, which never answers. tests/web has a visitor with a real browser; the tests of
 * downloads and the store run with both.
 */
export class MemoryVisitor {
  /** Received bytes that are lost when a connection breaks. */
  static lostWithConnection = 0;
  /** Bytes of received chunks that are lost when a tab closes. */
  static lostWithTab = 0;
  #blobs;
  #tab;
  #toldQuota = Infinity;
  /** Milliseconds of every pause of a load. */
  pauses = [];

  /** `Manifests`, `fetch`: replace the package's. */
  constructor(_, { storage = 'opfs', Manifests: Class = Manifests, fetch = corsFetch } = {}) {
    this.#blobs = new MemoryBlobs(storage);
    const locks = new MemoryLocks();
    const opened = {
      blobs: this.#blobs,
      manifests: new Class(new MemoryTable()),
      locks,
      estimate: async () => ({ usage: this.#blobs.bytes, quota: this.#toldQuota }),
    };
    /** The parts of the browser that the package uses. */
    this.downloads = {
      fetch,
      sleep: async () => {},
      stallMs: 30_000,
      storage: async () => {
        if (storage === 'silent') await new Promise(() => {});
        return storage === 'refused' ? undefined : opened;
      },
      locks,
    };
    this.#tab = new Tab(this.downloads, async () => new FakeSha256());
  }

  /**
   * Loads in a new tab, see {@link Tab.load}; throws its error. The tab closes when `closeAt` bytes
   * were read, or when `onPiece` returns `close`.
   */
  async load(files, { onPiece, closeAt, ...options } = {}) {
    // Nothing can be killed here: running work finishes.
    const told = await this.#tab.load(files, { ...options, ...(closeAt && { upTo: closeAt, quiet: true }) }, onPiece);
    this.pauses.push(...told.pauses);
    if (told.error) throw Object.assign(new Error(told.error.message), told.error);
    return told;
  }

  /** `told`: whether the browser reports it. */
  async setQuota(bytes, { told }) {
    this.#blobs.quota = bytes;
    this.#toldQuota = told ? bytes : Infinity;
  }

  /** Bytes of all stored chunks. */
  async storedBytes() {
    return this.#blobs.bytes;
  }

  hold = (...how) => this.downloads.locks.hold(...how);
  manifests = () => this.#tab.manifests();
  chunks = (url) => this.#tab.chunks(url);
  evict = () => this.#tab.evict();
  list = () => this.#tab.list();
  sweep = () => this.#tab.sweep();
  damage = (...how) => this.#tab.damage(...how);
  namedBytes = () => this.#tab.namedBytes();
  deleteModel = (...which) => this.#tab.deleteModel(...which);
  orphan = (hash, length) => this.#tab.orphan(hash, length);
}

/** The visitor of the tests. */
export let Visitor = MemoryVisitor;

/** Must be called before the tests are defined. */
export function useVisitor(other) {
  Visitor = other;
}
