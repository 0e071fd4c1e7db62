/** One file in the store: its chunks as they come and go. */

import type { Blobs } from './blobs.js';
import { digest } from './digest.js';
import { CHUNKS, type Locks } from './locks.js';
import { CHUNK_BYTES, chunkBytes, type Manifest, type Manifests, type Version } from './manifest.js';
import { Parts } from './parts.js';

/** Milliseconds that a load waits for what concerns the next one only. */
const PATIENCE = 1000;

/**
 * Whether it came to its end in time, well or not: Chromium was seen to leave an operation on parts of chunks without an answer on a busy
 * machine, and a model that is there must not wait for it. What is left over goes with the next sweep.
 */
async function inTime(work: Promise<unknown>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), PATIENCE)));
  const done = work.then(
    () => true,
    () => true,
  );
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}

/** Everything that storing needs of the browser. */
export interface Storage {
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  /** Undefined where the browser has none. */
  readonly locks: Locks | undefined;
  /** In bytes, of this origin. */
  estimate(): Promise<{ readonly usage?: number; readonly quota?: number }>;
}

export class StoredFile {
  /** Of what it is a copy: an address, or `hf:…`. */
  readonly source: string;
  readonly #storage: Storage;
  #manifest: Manifest | undefined;
  #hashes: Map<number, string>;
  #parts: Parts | undefined;
  /** What earlier tabs left of chunks, and nobody took yet. */
  #left = new Map<number, Uint8Array<ArrayBuffer>>();

  private constructor(storage: Storage, source: string, manifest: Manifest | undefined, hashes: Map<number, string>) {
    this.#storage = storage;
    this.source = source;
    this.#manifest = manifest;
    this.#hashes = hashes;
  }

  /** Of a file of which nothing is stored, too. */
  static async open(storage: Storage, source: string): Promise<StoredFile> {
    const file = new StoredFile(storage, source, undefined, new Map());
    await file.refresh();
    return file;
  }

  /** Takes note of what another tab stored. */
  async refresh(): Promise<void> {
    const { manifests } = this.#storage;
    const manifest = await manifests.get(this.source);
    // A version of weft that cuts files differently stored it: of no use, and replaced in time.
    this.#manifest = manifest?.chunkBytes === CHUNK_BYTES ? manifest : undefined;
    this.#hashes = this.#manifest ? await manifests.chunks(this.source) : new Map();
  }

  /** Undefined while nothing is known. */
  get manifest(): Manifest | undefined {
    return this.#manifest;
  }

  get complete(): boolean {
    const size = this.#manifest?.size ?? null;
    return size !== null && this.#hashes.size >= Math.ceil(size / CHUNK_BYTES);
  }

  has(index: number): boolean {
    return this.#hashes.has(index);
  }

  /** Bytes of the chunks that are there. */
  get storedBytes(): number {
    const size = this.#manifest?.size ?? null;
    return [...this.#hashes.keys()].reduce((sum, index) => sum + chunkBytes(index, size), 0);
  }

  /**
   * The bytes of a chunk, compared with its name. Undefined where it is missing or damaged: what was wrong with it is
   * then forgotten, and `index` must be fetched again. The name that the new one must have is in `expected`.
   */
  async read(index: number): Promise<Uint8Array<ArrayBuffer> | { readonly expected: string } | undefined> {
    const hash = this.#hashes.get(index);
    if (hash === undefined) return undefined;
    const { blobs, manifests } = this.#storage;
    const bytes = await blobs.get(hash).catch(() => undefined);
    if (bytes && (await digest(bytes)) === hash) return bytes;
    this.#hashes.delete(index);
    // Where even this fails, it is found damaged again the next time.
    await Promise.all([blobs.delete(hash), manifests.deleteChunk(this.source, index)]).catch(() => undefined);
    return { expected: hash };
  }

  /** Begins anew: nothing of another version of the file stays. */
  async begin({ size, etag, lastModified }: Version): Promise<void> {
    if (this.#manifest) await this.remove();
    const said = { size, etag, lastModified, chunkBytes: CHUNK_BYTES, sha256: null, lastUsed: Date.now() };
    await this.#write({ ...said, parts: crypto.randomUUID() });
    this.#openParts();
  }

  /** Looks for what earlier tabs left of chunks that had not come whole. Who calls it alone may store chunks. */
  async resume(): Promise<void> {
    this.#openParts();
    for (const [index, bytes] of (await this.#parts?.read()) ?? []) {
      const whole = chunkBytes(index, this.#manifest?.size ?? null);
      if (this.has(index)) await this.#parts?.delete(index);
      else if (bytes.length === whole) await this.put(index, bytes, await digest(bytes));
      else if (bytes.length > 0 && bytes.length < whole) this.#left.set(index, bytes);
    }
  }

  /** How much earlier tabs left of a chunk, in bytes. */
  leftOf(index: number): number {
    return this.#left.get(index)?.length ?? 0;
  }

  /** What earlier tabs left of a chunk, once. */
  takeLeft(index: number): Uint8Array | undefined {
    const left = this.#left.get(index);
    this.#left.delete(index);
    return left;
  }

  /** Keeps what has come of a chunk so far, for the case that this tab closes before the chunk is {@link StoredFile.put}. */
  keep(index: number, came: Uint8Array<ArrayBuffer>): void {
    this.#parts?.keep(index, came);
  }

  /** Leaves what was kept to the next tab. */
  async leave(): Promise<void> {
    if (this.#parts) await inTime(this.#parts.close());
  }

  /** Gives up what was kept, to make room; returns whether there was anything. */
  async giveUp(): Promise<boolean> {
    const parts = this.#parts;
    this.#parts = undefined;
    return (await parts?.remove()) ?? false;
  }

  #openParts(): void {
    const { logs } = this.#storage.blobs;
    const folder = this.#manifest?.parts;
    this.#left.clear();
    this.#parts = logs && folder ? new Parts(logs, folder) : undefined;
  }

  /** Rejects as the storage does; `hash` is its SHA-256. */
  async put(index: number, bytes: Uint8Array<ArrayBuffer>, hash: string): Promise<void> {
    const { blobs, manifests, locks } = this.#storage;
    const release = await locks?.hold(CHUNKS, { mode: 'shared' });
    // Named only when it is there: another tab reads what has a name.
    try {
      await blobs.put(hash, bytes);
      await manifests.setChunk(this.source, index, hash);
    } catch (error) {
      await blobs.delete(hash).catch(() => undefined);
      throw error;
    } finally {
      release?.();
    }
    this.#hashes.set(index, hash);
    // Where that fails, it is found superfluous by the next tab.
    const parts = this.#parts;
    if (parts && !(await inTime(parts.delete(index)))) this.#parts = undefined;
  }

  /** Notes of a file that is whole what is known now: the size where the server did not tell it, the hash that was checked, the use. */
  async note(found: { readonly size?: number; readonly sha256?: string }): Promise<void> {
    const folder = this.#manifest?.parts;
    if (this.#manifest) await this.#write({ ...this.#manifest, ...found, lastUsed: Date.now(), parts: null });
    await this.#deleteParts(folder);
  }

  /** Removes the file, but for chunks that other files share. */
  async remove(): Promise<void> {
    const { blobs, manifests, locks } = this.#storage;
    const folder = this.#manifest?.parts;
    this.#manifest = undefined;
    this.#hashes = new Map();
    // Alone: what another file is about to share is not written down yet.
    const release = await locks?.hold(CHUNKS);
    try {
      for (const hash of await manifests.delete(this.source)) await blobs.delete(hash);
    } finally {
      release?.();
    }
    await this.#deleteParts(folder);
  }

  async #deleteParts(folder: string | null | undefined): Promise<void> {
    this.#left.clear();
    await inTime(this.giveUp());
    // What another tab has open stays until the next sweep.
    const { logs } = this.#storage.blobs;
    if (folder && logs) await inTime(logs.delete(folder));
  }

  async #write(manifest: Manifest): Promise<void> {
    this.#manifest = manifest;
    await this.#storage.manifests.set(this.source, manifest);
  }
}
