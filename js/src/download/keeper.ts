/**
 * Stores the chunks of one file as they arrive. Trouble with the store does not fail a load, unless
 * the caller insists on storing.
 */

import { messageOf, WeftError } from '../common/errors.js';
import { isFull } from '../store/blobs.js';
import type { StoredFile, Storage } from '../store/file.js';
import { evictOldest, explain, makeRoom, type Spared } from '../store/room.js';
import type { Version } from '../store/version.js';
import type { StoreOptions } from '../types/index.js';
import { mismatch, type Form } from './form.js';

/**
 * Maximum number of chunks waiting to be stored. A storage slower than the network slows it down
 * instead of filling the memory.
 */
const UNSTORED = 4;

export interface KeeperOptions {
  /** For messages. */
  readonly name: string;
  readonly form: Form;
  readonly store: StoreOptions;
  /** Sources of this load, which are not evicted for one another. */
  readonly spared: Spared;
  note(sentence: string): void;
  /** Called when storing stops. */
  stopped(): void;
}

export class Keeper {
  readonly file: StoredFile;
  readonly #storage: Storage;
  readonly #options: KeeperOptions;
  #storing = true;
  #refusal: { readonly error: unknown } | undefined;
  #version: Version | undefined;
  /** Resolves when chunks may be stored. */
  #begun: Promise<void> | undefined;
  readonly #puts = new Set<Promise<void>>();
  /** Resolves when an arrived chunk is stored. */
  readonly #putOf = new WeakMap<Uint8Array, Promise<void>>();
  /** The last eviction, and whether there was a file to delete. */
  #eviction: Promise<boolean> | undefined;

  constructor(file: StoredFile, storage: Storage, options: KeeperOptions) {
    this.file = file;
    this.#storage = storage;
    this.#options = options;
  }

  get storing(): boolean {
    return this.#storing;
  }

  /** If the caller insists on storing: throws the reason why that failed. */
  check(): void {
    if (this.#refusal) throw this.#refusal.error;
  }

  /** Sets the version of the chunks that follow. */
  expect(version: Version): void {
    this.#version = version;
    this.#begun = undefined;
  }

  /** Stores an arrived chunk. Resolves when the next one may arrive. */
  async arrived(index: number, bytes: Uint8Array<ArrayBuffer>, hash: Promise<string | null>): Promise<void> {
    if (!this.#storing) return;
    const put = this.#put(index, bytes, hash)
      .catch(async (error: unknown) => {
        const cause = await explain(this.#storage, this.file.source, error).catch(() => error);
        if (this.#storing) this.stop(cause);
      })
      .finally(() => this.#puts.delete(put));
    this.#puts.add(put);
    this.#putOf.set(bytes, put);
    if (this.#puts.size >= UNSTORED) await Promise.race(this.#puts);
  }

  /** Resolves when the store no longer needs the bytes. */
  done(bytes: Uint8Array): Promise<void> {
    return Promise.resolve(this.#putOf.get(bytes));
  }

  /** Resolves when nothing is being stored. */
  async settle(): Promise<void> {
    await Promise.all(this.#puts);
  }

  /**
   * Stops storing; the load goes on unless the caller insists. Stored chunks stay, and another tab
   * may continue.
   */
  stop(error: unknown): void {
    this.#storing = false;
    this.#options.stopped();
    const { name, note, store } = this.#options;
    if (store.required) this.#refusal = { error };
    else note(`${name} is not stored: ${messageOf(error)}`);
  }

  /** Records properties of the file that reading has shown. */
  async note(found: Parameters<StoredFile['note']>[0]): Promise<void> {
    const isThere = await this.file.note(found).catch(() => true);
    if (!isThere) this.lost();
  }

  /** Called when the stored file was deleted elsewhere. */
  lost(): void {
    if (this.#storing) this.stop(new WeftError('NOT_STORED', 'it was deleted from the store during the download'));
  }

  /** Deletes the stored file, because it is not the expected one. */
  async forget(): Promise<void> {
    this.#storing = false;
    await this.settle();
    // If this fails too, the chunks' hashes and the server's response still guard later loads.
    await this.file.remove().catch(() => undefined);
  }

  async #put(index: number, bytes: Uint8Array<ArrayBuffer>, hash: Promise<string | null>): Promise<void> {
    this.#begun ??= this.#begin(index, bytes);
    await this.#begun;
    const name = await hash;
    if (this.#storing && name !== null) await this.#write(() => this.file.put(index, bytes, name));
  }

  /**
   * Prepares for the first chunk: checks its form and the free space, and records what the file is.
   */
  async #begin(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { form, store, spared } = this.#options;
    const { size = null } = this.#version ?? {};
    const wrong = index === 0 ? mismatch(form, bytes, size) : undefined;
    if (wrong !== undefined) throw new WeftError('INVALID_FILE', wrong);
    const needed = Math.max(0, (size ?? 0) - this.file.storedBytes);
    await makeRoom(this.#storage, this.file.source, needed, store.evict ?? 'never', spared);
    if (!this.file.usable) await this.#write(() => this.file.begin(this.#version!));
  }

  /**
   * Writes; if the storage is full after all (some browsers report too much space), evicts as the
   * caller allows and tries again.
   */
  async #write(write: () => Promise<void>): Promise<void> {
    for (;;) {
      const before = this.#eviction;
      await before;
      try {
        return await write();
      } catch (error) {
        if (!isFull(error)) throw error;
        // One eviction serves all chunks that did not fit.
        if (this.#eviction === before) {
          const { store, spared } = this.#options;
          this.#eviction = evictOldest(this.#storage, store.evict ?? 'never', spared);
        }
        if (!(await this.#eviction)) throw error;
      }
    }
  }
}
