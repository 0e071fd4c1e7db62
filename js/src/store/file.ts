/** One file in the store: its chunks as they come and go. */

import type { Blobs } from './blobs.js';
import { digest } from './digest.js';
import { CHUNKS, type Locks } from './locks.js';
import { CHUNK_BYTES, chunkBytes, type Manifest, type Manifests, type Version } from './manifest.js';

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
    await this.#write({ size, etag, lastModified, chunkBytes: CHUNK_BYTES, sha256: null, lastUsed: Date.now() });
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
  }

  /** Notes what is known now: the size of a file whose server did not tell it, the hash that was checked, the use. */
  async note(found: { readonly size?: number; readonly sha256?: string }): Promise<void> {
    if (this.#manifest) await this.#write({ ...this.#manifest, ...found, lastUsed: Date.now() });
  }

  /** Removes the file, but for chunks that other files share. */
  async remove(): Promise<void> {
    const { blobs, manifests, locks } = this.#storage;
    this.#manifest = undefined;
    this.#hashes = new Map();
    // Alone: what another file is about to share is not written down yet.
    const release = await locks?.hold(CHUNKS);
    try {
      for (const hash of await manifests.delete(this.source)) await blobs.delete(hash);
    } finally {
      release?.();
    }
  }

  async #write(manifest: Manifest): Promise<void> {
    this.#manifest = manifest;
    await this.#storage.manifests.set(this.source, manifest);
  }
}
