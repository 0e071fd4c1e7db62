/** One file in the store: its chunks as they come and go. */

import { WeftError } from '../common/errors.js';
import type { Blobs } from './blobs.js';
import { digest } from './digest.js';
import { CHUNKS, type Locks } from './locks.js';
import { CHUNK_BYTES, chunkBytes, type Copy, type Manifest, type Manifests } from './manifest.js';
import type { Version } from './version.js';

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
  #hashes: Map<number, string> = new Map();
  /** Of chunks that were found damaged or missing. */
  #lost: Map<number, string> = new Map();
  /** Whether the copy is known to be deleted: what is known of it stays. */
  #gone = false;

  private constructor(storage: Storage, source: string) {
    this.#storage = storage;
    this.source = source;
  }

  /** Of a file of which nothing is stored, too. */
  static async open(storage: Storage, source: string): Promise<StoredFile> {
    const file = new StoredFile(storage, source);
    await file.refresh();
    return file;
  }

  /**
   * Takes note of what another tab stored. Returns whether the copy is the one of before, or there
   * was none. Of another one nothing is taken note of, unless `anew`: chunks of two copies do not
   * belong together.
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

  /** Undefined while nothing is known. */
  get manifest(): Manifest | undefined {
    return this.#manifest;
  }

  /**
   * Whether its chunks are cut as this version of weft cuts files. Others are of no use, and
   * replaced in time.
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

  /** SHA-256 of a chunk that is there, or was. */
  hashOf(index: number): string | undefined {
    return this.#hashes.get(index) ?? this.#lost.get(index);
  }

  /** Bytes of the chunks that are there. */
  get storedBytes(): number {
    const { size = null, chunkBytes: whole = CHUNK_BYTES } = this.#manifest ?? {};
    return [...this.#hashes.keys()].reduce((sum, index) => sum + chunkBytes(index, size, whole), 0);
  }

  /**
   * The bytes of a chunk, compared with its name. Undefined where it is missing or damaged: what
   * was wrong with it is then forgotten, and it must be fetched again.
   */
  async read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const hash = this.#hashes.get(index);
    if (hash === undefined || !this.#manifest) return undefined;
    const { blobs, manifests } = this.#storage;
    const bytes = await blobs.get(hash).catch(() => undefined);
    if (bytes && (await digest(bytes)) === hash) return bytes;
    this.#hashes.delete(index);
    this.#lost.set(index, hash);
    // Where even this fails, it is found damaged again the next time.
    await Promise.all([blobs.delete(hash), manifests.deleteChunk(this.#manifest.id, index, hash)]).catch(
      () => undefined,
    );
    return undefined;
  }

  /** Begins anew: nothing of another copy of the file stays. */
  async begin(version: Version, more: Pick<Manifest, 'absent'> = {}): Promise<void> {
    const manifest = { ...manifestOf(version), ...more };
    await this.#dropping(() => this.#storage.manifests.begin(this.source, manifest));
    this.#become(manifest);
  }

  /**
   * Begins a copy beside the one that is there, which it replaces with {@link
   * StoredFile.finishImport}.
   */
  async beginImport(): Promise<void> {
    const manifest = manifestOf({ size: null, etag: null, lastModified: null });
    await this.#storage.manifests.beginImport(this.source, manifest);
    this.#become(manifest);
  }

  /** Errors: `NOT_STORED` where it was deleted meanwhile. */
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
   * Rejects as the storage does, and with `NOT_STORED` where the copy was deleted meanwhile. `hash`
   * is its SHA-256.
   */
  async put(index: number, bytes: Uint8Array<ArrayBuffer>, hash: string): Promise<void> {
    const { manifests, locks } = this.#storage;
    const copy = this.#copy();
    let named = false;
    const release = await locks?.hold(CHUNKS, { mode: 'shared' });
    try {
      // Named only when it is there: another tab reads what has a name.
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

  /** What another file has is not written again, lest it be torn. */
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
   * Notes what is known now, such as the size of a file whose server did not tell it, and that the
   * file was used. Returns whether it is there.
   */
  async note(found: Partial<Pick<Manifest, 'size' | 'sha256' | 'doubted'>>): Promise<boolean> {
    if (!this.#manifest) return true;
    const changed = await this.#storage.manifests.change(this.#copy(), { ...found, lastUsed: Date.now() });
    if (changed) this.#manifest = changed;
    else this.#gone = true;
    return changed !== undefined;
  }

  /**
   * Removes this copy of the file, but for chunks that other files share. Returns whether it was
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
    return new WeftError('NOT_STORED', `${this.source} was deleted from the store meanwhile`);
  }
}

/**
 * Deletes the chunks that `forget` leaves without a name. Alone: what another file is about to
 * share is not written down yet.
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
