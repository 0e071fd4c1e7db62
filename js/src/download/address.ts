/**
 * The chunks of a file that has an address, in order, from the store as far as it has them and else from the network, from where they go to the
 * store. Trouble with the store never fails a load: it is noted, and the load goes on without.
 */

import { WeftError } from '../errors.js';
import { isFull } from '../store/blobs.js';
import { digest } from '../store/digest.js';
import { StoredFile, type Storage } from '../store/file.js';
import type { Locks, Release } from '../store/locks.js';
import { CHUNK_BYTES, sameVersion } from '../store/manifest.js';
import { evictOldest, explain, makeRoom } from '../store/room.js';
import type { DownloadInfo, StoreOptions } from '../types.js';
import { Download } from './download.js';
import { messageOf, type Answer, type Fetch } from './http.js';
import { free } from './memory.js';
import { compareHash, type Hasher } from './hash.js';
import type { Meter } from './meter.js';
import type { Sleep } from './retry.js';
import { nameOf, type Address } from './source.js';

/** What reading needs of its surroundings. */
export interface Surroundings {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  readonly stallMs: number;
  readonly meter: Meter;
  /** Tells the user a sentence. */
  note(sentence: string): void;
  /** Undefined where nothing can be stored. */
  storage(): Promise<Storage | undefined>;
  readonly locks: Locks | undefined;
  /** Null where nothing may be stored. */
  readonly store: StoreOptions | null;
  /** Begins a SHA-256. */
  hasher(): Promise<Hasher>;
}

/** Chunks that are read from the store ahead of their turn: the next ones are read and checked while the engine works. */
const READ_AHEAD = 3;

/** Chunks that may wait to be stored: a storage that is slower than the network slows it then, instead of filling the memory. */
const UNSTORED = 4;

/** Milliseconds between two looks at what another tab has stored. */
const POLL = 200;

export class AddressReader {
  readonly #address: Address;
  readonly #name: string;
  readonly #around: Surroundings;
  #sha256: string | null;
  #storage: Storage | undefined;
  #file: StoredFile | undefined;
  #storing = false;
  /** Why nothing can be stored, where the caller insists on it. */
  #refusal: { readonly error: unknown } | undefined;
  readonly #puts = new Set<Promise<void>>();
  /** When a chunk that came will be stored. */
  readonly #putOf = new WeakMap<Uint8Array, Promise<void>>();
  /** The last one, and whether there was a model to delete. */
  #eviction: Promise<boolean> | undefined;
  /** Whether another tab downloads the file, or did when this one last looked. */
  #following = false;
  /** Fulfilled when that tab has ended, and this one may download. */
  #turn: Promise<void> | undefined;
  #release: Release | undefined;
  #settled = false;
  /** Whether all of it was read, and is what it should be. */
  #whole = false;
  #download: Download | undefined;
  readonly #ahead = new Map<number, ReturnType<StoredFile['read']>>();

  /** `sha256`: what the whole file must have, where the caller says. */
  constructor(address: Address, sha256: string | null, around: Surroundings) {
    this.#address = address;
    this.#name = nameOf(address);
    this.#sha256 = sha256;
    this.#around = around;
  }

  /** In bytes; null while it is not known. */
  get size(): number | null {
    return this.#download?.size ?? this.#file?.manifest?.size ?? null;
  }

  /** Where the file is kept. */
  get storage(): DownloadInfo['storage'] {
    return this.#storing && this.#storage ? this.#storage.blobs.kind : 'none';
  }

  /** Can be iterated once; a chunk is there until the next is asked for. Errors: `NETWORK`, `FILE_CHANGED`, `INTEGRITY`; `QUOTA_EXCEEDED` where the caller insists on storing. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      await this.#open();
      if (!this.#following && !this.#file?.complete) await this.#begin(0);
      // What was checked before it was stored needs no second check: each chunk has its own.
      const unchecked = this.#sha256 !== null && this.#sha256 !== this.#file?.manifest?.sha256;
      const hash = unchecked ? await this.#around.hasher() : undefined;
      for (let index = 0; ; index += 1) {
        this.#around.meter.size(this.size);
        const bytes = await this.#chunk(index);
        if (!bytes) break;
        hash?.update(bytes);
        yield bytes;
        void Promise.resolve(this.#putOf.get(bytes)).then(() => free(bytes));
      }
      if (hash) compareHash(this.#name, this.#sha256, hash.digest());
      this.#whole = true;
    } catch (error) {
      const useless = error instanceof WeftError && (error.code === 'FILE_CHANGED' || error.code === 'INTEGRITY');
      if (useless) await this.#forget();
      throw error;
    } finally {
      this.#download?.stop();
      if (!this.#whole) void this.#leave();
    }
  }

  /** Returns when everything is stored that will be. */
  async settle(): Promise<void> {
    if (!this.#whole) return this.#leave();
    await Promise.all(this.#puts);
    if (this.#refusal) throw this.#refusal.error;
    const { size } = this;
    const found = { ...(size !== null && { size }), ...(this.#sha256 !== null && { sha256: this.#sha256 }) };
    await this.#file?.note(found).catch(() => undefined);
    this.#letGo();
  }

  /** Looks for the file in the store, and whether another tab downloads it. */
  async #open(): Promise<void> {
    const { locks, note, store } = this.#around;
    // What a page holds itself, by a blob: or data: address, is of this visit only.
    if (!store || !/^https?:/.test(this.#address.url)) return;
    const source = this.#address.key;
    try {
      this.#storage = await this.#around.storage();
      if (!this.#storage) throw new Error('this browser stores nothing for this page');
      this.#file = await StoredFile.open(this.#storage, source);
    } catch (error) {
      if (store.required) throw new WeftError('NOT_SUPPORTED', `cannot store ${source}: ${messageOf(error)}`);
      return note(`The store cannot be used: ${messageOf(error)}.`);
    }
    const stored = this.#file.manifest?.sha256 ?? null;
    if (stored !== null && this.#sha256 !== null && stored !== this.#sha256) {
      note(`${this.#name} in the store is not the file that is asked for, and is fetched anew.`);
      await this.#file.remove();
    }
    this.#storing = true;
    if (this.#file.complete || !locks) return;
    this.#release = await locks.tryHold(source);
    if (!this.#release) {
      this.#following = true;
      this.#turn = locks.hold(source).then((release) => {
        this.#turn = undefined;
        if (this.#settled) return release();
        this.#release = release;
      });
    }
    await this.#file.refresh();
  }

  /** Asks the server, and starts the download of what is missing. `read`: chunks that the engine has already. */
  async #begin(read: number): Promise<void> {
    const { fetch, sleep, stallMs, meter, note } = this.#around;
    const file = this.#file;
    const download = new Download(
      { ...this.#address, useCache: !this.#storing, stallMs },
      {
        fetch,
        sleep,
        has: (index) => file?.has(index) ?? false,
        received: (bytes) => meter.received(bytes),
        arrived: (index, bytes) => this.#arrived(index, bytes),
      },
    );
    this.#download = download;
    let answer: Answer = await download.probe(file?.manifest);
    if (file?.manifest && !sameVersion(file.manifest, answer.version)) {
      await answer.cancel();
      if (read > 0) throw changed(this.#address.url);
      note(`${this.#name} changed on the server: what was stored of it is dropped, and it is fetched anew.`);
      await file.remove();
      answer = await download.probe(undefined);
    }
    if (read === 0 && this.#address.isHub) this.#sha256 ??= answer.sha256;
    if (file && this.#storing) await this.#prepare(file, answer);
    download.start(answer);
  }

  /** Sees to it that there is room, and writes down what the file is. */
  async #prepare(file: StoredFile, { version }: Answer): Promise<void> {
    try {
      const needed = Math.max(0, (version.size ?? 0) - file.storedBytes);
      await makeRoom(this.#storage!, file.source, needed, this.#around.store?.evict ?? 'never');
      if (!file.manifest) await this.#write(() => file.begin(version));
    } catch (error) {
      this.#stopStoring(error);
    }
  }

  async #chunk(index: number): Promise<Uint8Array | null> {
    if (this.#refusal) throw this.#refusal.error;
    if (this.#following) await this.#follow(index);
    if (this.#download?.claimed(index)) return this.#download.take(index);
    const { size } = this;
    if (size !== null && index * CHUNK_BYTES >= size) return null;
    this.#download?.advance(index);
    const stored = await this.#stored(index);
    if (stored instanceof Uint8Array) {
      this.#around.meter.fromStore(stored.length);
      return stored;
    }
    if (!this.#download) await this.#begin(index);
    const bytes = await this.#download!.take(index);
    if (stored && bytes && (await digest(bytes)) !== stored.expected) throw changed(this.#address.url);
    return bytes;
  }

  /** From the store, while the next ones are read too. What is damaged there is noted, and gives what it must become. */
  async #stored(index: number): ReturnType<StoredFile['read']> {
    const file = this.#file;
    if (!file) return undefined;
    for (let next = index; next < index + READ_AHEAD; next += 1) {
      const other = this.#ahead.has(next) || this.#download?.claimed(next);
      if (!other && file.has(next)) this.#ahead.set(next, file.read(next));
    }
    const found = await this.#ahead.get(index);
    this.#ahead.delete(index);
    if (found && 'expected' in found) {
      this.#around.note(
        `Part ${index + 1} of ${this.#name} was damaged or missing in the store, and is fetched again.`,
      );
    }
    return found;
  }

  /** Waits for a chunk that another tab downloads, until it is stored or this tab's turn has come. */
  async #follow(index: number): Promise<void> {
    const file = this.#file!;
    const known = file.manifest;
    const past = () => this.size !== null && index * CHUNK_BYTES >= this.size;
    while (this.#following && !file.has(index) && !past()) {
      const turn = this.#turn;
      if (turn) await Promise.race([turn, this.#around.sleep(POLL, new AbortController().signal)]);
      await file.refresh();
      const same = known && file.manifest && sameVersion(known, file.manifest);
      if (index > 0 && !same) throw changed(this.#address.url);
      // Only what was looked for after the other tab had ended is missing for good.
      this.#following = turn !== undefined;
    }
  }

  /** Stores a chunk that came. Fulfilled when the next one may come. */
  async #arrived(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (!this.#storing) return;
    const put = digest(bytes)
      .then((hash) => (this.#storing ? this.#write(() => this.#file!.put(index, bytes, hash)) : undefined))
      .catch(async (error: unknown) => {
        const cause = await explain(this.#storage!, this.#file!.source, error);
        if (this.#storing) this.#stopStoring(cause);
      })
      .finally(() => this.#puts.delete(put));
    this.#puts.add(put);
    this.#putOf.set(bytes, put);
    if (this.#puts.size >= UNSTORED) await Promise.race(this.#puts);
  }

  /** Writes to the store. Some browsers tell of more room than there is: where it is full after all, models go as the caller allows. */
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
          this.#eviction = evictOldest(this.#storage!, this.#file!.source, this.#around.store?.evict ?? 'never');
        }
        if (!(await this.#eviction)) throw error;
      }
    }
  }

  /** The load goes on without, unless the caller insists. What is stored stays, and another tab may go on with it. */
  #stopStoring(error: unknown): void {
    this.#storing = false;
    void this.#leave();
    const { note, store } = this.#around;
    if (store?.required) this.#refusal = { error };
    else note(`${this.#name} is not stored: ${messageOf(error)}`);
  }

  async #forget(): Promise<void> {
    this.#storing = false;
    this.#download?.stop();
    await Promise.all(this.#puts);
    // Where even this fails, the chunks' own hashes and the server's answer still guard what is read.
    await this.#file?.remove().catch(() => undefined);
  }

  /** What is under way is stored before another tab goes on. */
  async #leave(): Promise<void> {
    await Promise.all(this.#puts);
    this.#letGo();
  }

  #letGo(): void {
    this.#settled = true;
    this.#release?.();
    this.#release = undefined;
  }
}

function changed(url: string): WeftError {
  return new WeftError('FILE_CHANGED', `${url} is another file than the one that was begun. Load it again.`);
}
