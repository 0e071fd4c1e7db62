/**
 * Stores the chunks of one file as they come. Trouble with the store never fails a load, unless the
 * caller insists on storing.
 */

import { messageOf, WeftError } from '../common/errors.js';
import { isFull } from '../store/blobs.js';
import type { StoredFile, Storage } from '../store/file.js';
import { evictOldest, explain, makeRoom, type Spared } from '../store/room.js';
import type { Version } from '../store/version.js';
import type { StoreOptions } from '../types/index.js';
import { mismatch, type Form } from './form.js';

/**
 * Chunks that may wait to be stored: a storage that is slower than the network slows it then,
 * instead of filling the memory.
 */
const UNSTORED = 4;

export interface KeeperOptions {
  /** For people. */
  readonly name: string;
  readonly form: Form;
  readonly store: StoreOptions;
  /** Sources of this load: none of them makes room for another. */
  readonly spared: Spared;
  note(sentence: string): void;
  /** Nothing is stored from now on. */
  stopped(): void;
}

export class Keeper {
  readonly file: StoredFile;
  readonly #storage: Storage;
  readonly #options: KeeperOptions;
  #storing = true;
  #refusal: { readonly error: unknown } | undefined;
  #version: Version | undefined;
  /** Fulfilled when chunks may be put. */
  #begun: Promise<void> | undefined;
  readonly #puts = new Set<Promise<void>>();
  /** When a chunk that came will be stored. */
  readonly #putOf = new WeakMap<Uint8Array, Promise<void>>();
  /** The last one, and whether there was a file to delete. */
  #eviction: Promise<boolean> | undefined;

  constructor(file: StoredFile, storage: Storage, options: KeeperOptions) {
    this.file = file;
    this.#storage = storage;
    this.#options = options;
  }

  get storing(): boolean {
    return this.#storing;
  }

  /** Throws why nothing can be stored, where the caller insists on it. */
  check(): void {
    if (this.#refusal) throw this.#refusal.error;
  }

  /** What comes from now on is of this version. */
  expect(version: Version): void {
    this.#version = version;
    this.#begun = undefined;
  }

  /** Stores a chunk that came. Fulfilled when the next one may come. */
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

  /** Fulfilled when the store needs the bytes no more. */
  done(bytes: Uint8Array): Promise<void> {
    return Promise.resolve(this.#putOf.get(bytes));
  }

  /** Fulfilled when nothing is under way to the store. */
  async settle(): Promise<void> {
    await Promise.all(this.#puts);
  }

  /**
   * The load goes on without, unless the caller insists. What is stored stays, and another tab may
   * go on with it.
   */
  stop(error: unknown): void {
    this.#storing = false;
    this.#options.stopped();
    const { name, note, store } = this.#options;
    if (store.required) this.#refusal = { error };
    else note(`${name} is not stored: ${messageOf(error)}`);
  }

  /** Writes down what is known of the file now that it was read. */
  async note(found: Parameters<StoredFile['note']>[0]): Promise<void> {
    const isThere = await this.file.note(found).catch(() => true);
    if (!isThere) this.lost();
  }

  /** Somebody deleted what was stored. */
  lost(): void {
    if (this.#storing) this.stop(new WeftError('NOT_STORED', 'it was deleted from the store meanwhile'));
  }

  /** The file is not what it should be. */
  async forget(): Promise<void> {
    this.#storing = false;
    await this.settle();
    // Where even this fails, the chunks' own hashes and the server's answer still guard what is
    // read.
    await this.file.remove().catch(() => undefined);
  }

  async #put(index: number, bytes: Uint8Array<ArrayBuffer>, hash: Promise<string | null>): Promise<void> {
    this.#begun ??= this.#begin(index, bytes);
    await this.#begun;
    const name = await hash;
    if (this.#storing && name !== null) await this.#write(() => this.file.put(index, bytes, name));
  }

  /**
   * Before the first chunk that is put: sees that it is one, that there is room, and writes down
   * what the file is.
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
   * Some browsers tell of more room than there is: where it is full after all, files go as the
   * caller allows.
   */
  async #write(write: () => Promise<void>): Promise<void> {
    for (;;) {
      const before = this.#eviction;
      await before;
      try {
        return await write();
      } catch (error) {
        if (!isFull(error)) throw error;
        // One goes for all chunks that did not fit.
        if (this.#eviction === before) {
          const { store, spared } = this.#options;
          this.#eviction = evictOldest(this.#storage, store.evict ?? 'never', spared);
        }
        if (!(await this.#eviction)) throw error;
      }
    }
  }
}
