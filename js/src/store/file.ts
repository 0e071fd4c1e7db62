/** A stored file: its chunks are written, read and deleted one by one. */

import { WeftError } from '../common/errors.js';
import type { Blobs } from './blobs.js';
import { digest } from './digest.js';
import { CHUNKS, type Locks } from './locks.js';
import { CHUNK_BYTES, chunkBytes, type Copy, type Manifest, type Manifests } from './manifest.js';
import type { Version } from './version.js';

/** The parts of the browser that storing uses. */
export interface Storage {
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  /** Undefined if the browser has none. */
  readonly locks: Locks | undefined;
  /** Bytes used by this origin, and its quota. */
  estimate(): Promise<{ readonly usage?: number; readonly quota?: number }>;
}

export class StoredFile {
  /** The source that it is a copy of: a URL or `hf:…`. */
  readonly source: string;
  readonly #storage: Storage;
  #manifest: Manifest | undefined;
  #hashes: Map<number, string> = new Map();
  /** Hashes of chunks that were found damaged or missing. */
  #lost: Map<number, string> = new Map();
  /** Whether the copy is known to be deleted; its manifest is kept. */
  #gone = false;

  private constructor(storage: Storage, source: string) {
    this.#storage = storage;
    this.source = source;
  }

  /** Also works when nothing of the file is stored yet. */
  static async open(storage: Storage, source: string): Promise<StoredFile> {
    const file = new StoredFile(storage, source);
    await file.refresh();
    return file;
  }

  /**
   * Reads what another tab has stored. Returns false if that is another copy; then its chunks are
   * only taken over with `anew`, because chunks of two copies do not belong together.
   */
  async refresh(anew: boolean = true): Promise<boolean> {
    const found = await this.#storage.manifests.find(this.source);
    const same = this.#manifest === undefined || found?.manifest.id === this.#manifest.id;
    this.#gone = !same;
    if (same || anew) this.#become(found?.manifest, found?.chunks);
    return same;
  }

  #become(manifest: Manifest | undefined, chunks: Map<number, string> = new Map()): void {
    if (manifest?.id !== this.#manifest?.id) this.#lost = new Map();
    this.#manifest = manifest;
    this.#hashes = chunks;
    this.#gone = false;
  }

  /** Undefined if nothing is stored. */
  get manifest(): Manifest | undefined {
    return this.#manifest;
  }

  /**
   * Whether its chunks have this version's size. Others cannot be used and are replaced in time.
   */
  get usable(): boolean {
    return !this.#gone && this.#manifest?.chunkBytes === CHUNK_BYTES && !this.#manifest.absent;
  }

  /** Whether the SHA-256 of every chunk is known. */
  get known(): boolean {
    const size = this.#manifest?.size ?? null;
    return size !== null && size > 0 && this.#hashes.size + this.#lost.size >= Math.ceil(size / CHUNK_BYTES);
  }

  get complete(): boolean {
    return this.usable && this.known && this.#lost.size === 0;
  }

  has(index: number): boolean {
    return this.usable && this.#hashes.has(index);
  }

  /** SHA-256 of a chunk that is or was stored. */
  hashOf(index: number): string | undefined {
    return this.#hashes.get(index) ?? this.#lost.get(index);
  }

  /** Bytes of the stored chunks. */
  get storedBytes(): number {
    const { size = null, chunkBytes: whole = CHUNK_BYTES } = this.#manifest ?? {};
    return [...this.#hashes.keys()].reduce((sum, index) => sum + chunkBytes(index, size, whole), 0);
  }

  /**
   * Reads a chunk and checks it against its name. Undefined if it is missing or damaged; it is then
   * forgotten and must be downloaded again.
   */
  async read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const hash = this.#hashes.get(index);
    if (hash === undefined || !this.#manifest) return undefined;
    const { blobs, manifests } = this.#storage;
    const bytes = await blobs.get(hash).catch(() => undefined);
    if (bytes && (await digest(bytes)) === hash) return bytes;
    this.#hashes.delete(index);
    this.#lost.set(index, hash);
    // If this fails too, the chunk is found damaged again the next time.
    await Promise.all([blobs.delete(hash), manifests.deleteChunk(this.#manifest.id, index, hash)]).catch(
      () => undefined,
    );
    return undefined;
  }

  /** Starts a new copy; nothing of an older copy stays. */
  async begin(version: Version, more: Pick<Manifest, 'absent' | 'prefix'> = {}): Promise<void> {
    const manifest = { ...manifestOf(version), ...more };
    await this.#dropping(() => this.#storage.manifests.begin(this.source, manifest));
    this.#become(manifest);
  }

  /** Starts a copy beside the existing one, which {@link StoredFile.finishImport} replaces. */
  async beginImport(): Promise<void> {
    const manifest = manifestOf({ size: null, etag: null, lastModified: null });
    await this.#storage.manifests.beginImport(this.source, manifest);
    this.#become(manifest);
  }

  /** Errors: `NOT_STORED` if it has been deleted meanwhile. */
  async finishImport(size: number): Promise<void> {
    const copy = this.#copy();
    const { finished } = await this.#dropping(() => this.#storage.manifests.finishImport(copy, size));
    if (!finished) throw this.#deleted();
    await this.refresh();
  }

  async abandonImport(): Promise<void> {
    const { id } = this.#copy();
    await this.#dropping(() => this.#storage.manifests.deleteImport(id));
  }

  /**
   * Stores a chunk; `hash` is its SHA-256. Rejects as the storage does, and with `NOT_STORED` if
   * the copy has been deleted meanwhile.
   */
  async put(index: number, bytes: Uint8Array<ArrayBuffer>, hash: string): Promise<void> {
    const { manifests, locks } = this.#storage;
    const copy = this.#copy();
    let named = false;
    const release = await locks?.hold(CHUNKS, { mode: 'shared' });
    try {
      // The name follows the content, because other tabs read what has a name.
      await this.#write(bytes, hash);
      named = await manifests.setChunk(copy, index, hash);
    } finally {
      release?.();
    }
    if (!named) {
      const isNamed = async () => (await manifests.hashes()).has(hash);
      await this.#dropping(async () => ({ dangling: (await isNamed()) ? [] : [hash] }));
      throw this.#deleted();
    }
    this.#hashes.set(index, hash);
    this.#lost.delete(index);
  }

  /**
   * Shares the first chunks of another file, as far as it still has them. Returns how many: the
   * content of each is what its SHA-256 in `hashes` says.
   */
  async share(hashes: readonly string[]): Promise<number> {
    const { manifests, locks } = this.#storage;
    const copy = this.#copy();
    const release = await locks?.hold(CHUNKS, { mode: 'shared' });
    try {
      const named = hashes.length > 0 ? await manifests.hashes() : new Set();
      for (const [index, hash] of hashes.entries()) {
        if (!named.has(hash) || !(await manifests.setChunk(copy, index, hash))) return index;
        this.#hashes.set(index, hash);
      }
      return hashes.length;
    } finally {
      release?.();
    }
  }

  /** A chunk that another file has is not written again, to avoid tearing it. */
  async #write(bytes: Uint8Array<ArrayBuffer>, hash: string): Promise<void> {
    const { blobs } = this.#storage;
    const found = await blobs.get(hash).catch(() => undefined);
    if (found && (await digest(found)) === hash) return;
    try {
      await blobs.put(hash, bytes);
    } catch (error) {
      await blobs.delete(hash).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Records newly known properties, such as a size that the server did not tell, and the time of
   * use. Returns whether the file is there.
   */
  async note(found: Partial<Pick<Manifest, 'size' | 'sha256' | 'doubted' | 'prefix'>>): Promise<boolean> {
    if (!this.#manifest) return true;
    const changed = await this.#storage.manifests.change(this.#copy(), { ...found, lastUsed: Date.now() });
    if (changed) this.#manifest = changed;
    else this.#gone = true;
    return changed !== undefined;
  }

  /**
   * Removes this copy of the file, except chunks that other files share. Returns whether it was
   * there.
   */
  async remove(): Promise<boolean> {
    const id = this.#manifest?.id;
    this.#become(undefined);
    if (id === undefined) return false;
    const { deleted } = await this.#dropping(() => this.#storage.manifests.delete(this.source, id));
    return deleted;
  }

  #dropping<R extends { readonly dangling: readonly string[] }>(forget: () => Promise<R>): Promise<R> {
    return dropping(this.#storage, forget);
  }

  #copy(): Copy {
    return { source: this.source, id: this.#manifest?.id ?? '' };
  }

  #deleted(): WeftError {
    this.#gone = true;
    return new WeftError('NOT_STORED', `${this.source} was deleted from the store during the download`);
  }
}

/**
 * Deletes the chunks that `forget` leaves without a name. Holds the lock alone, because a chunk
 * that another file is about to share is not recorded yet.
 */
export async function dropping<R extends { readonly dangling: readonly string[] }>(
  { blobs, locks }: Storage,
  forget: () => Promise<R>,
): Promise<R> {
  const release = await locks?.hold(CHUNKS);
  try {
    const forgotten = await forget();
    for (const hash of forgotten.dangling) await blobs.delete(hash);
    return forgotten;
  } finally {
    release?.();
  }
}

function manifestOf({ size, etag, lastModified }: Version): Manifest {
  const id = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  );
  return { id, size, etag, lastModified, chunkBytes: CHUNK_BYTES, sha256: null, lastUsed: Date.now() };
}
