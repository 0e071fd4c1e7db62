/**
 * Reads the chunks of a file with a URL, in order: from the store as far as it has them, then from
 * the network, storing them on the way. Trouble with the store does not fail a load: it is noted,
 * and the load goes on without storing.
 */

import { messageOf, WeftError } from '../common/errors.js';
import { nameOf, type Address } from '../common/source.js';
import { answeringLocks } from '../store/answering.js';
import { StoredFile, type Storage } from '../store/file.js';
import type { Locks, Release } from '../store/locks.js';
import { CHUNK_BYTES } from '../store/manifest.js';
import { compareVersions, isProvable, type Identity, type Version } from '../store/version.js';
import type { DownloadInfo, StoreOptions } from '../types/index.js';
import { Download } from './download.js';
import type { Form } from './form.js';
import { compareHash, type Hasher } from './hash.js';
import { request, type Answer, type Fetch } from './http.js';
import { Keeper } from './keeper.js';
import { free } from './memory.js';
import type { Meter } from './meter.js';
import type { Sleep } from './retry.js';

/** What reading depends on. */
export interface Surroundings {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  readonly stallMs: number;
  readonly meter: Meter;
  /** Shows a sentence to the user. */
  note(sentence: string): void;
  /** Undefined if the browser has no storage. */
  storage(): Promise<Storage | undefined>;
  readonly locks: Locks | undefined;
  /** Null if nothing may be stored. */
  readonly store: StoreOptions | null;
  /** Starts a SHA-256 hash. */
  hasher(): Promise<Hasher>;
  /** Stored files of this load that were looked up so far, by source. */
  readonly opened: Map<string, StoredFile>;
}

export interface FileOptions {
  readonly form: Form;
  /** Expected hash of the whole file, if the caller gave one. */
  readonly sha256?: string | null;
}

/** Chunks read ahead from the store: the next ones are read and checked while the engine works. */
const READ_AHEAD = 3;

/** Milliseconds between two checks for chunks that another tab has stored. */
const POLL = 200;

export class AddressReader {
  readonly #address: Address;
  readonly #name: string;
  readonly #form: Form;
  readonly #around: Surroundings;
  #sha256: string | null;
  #storage: Storage | undefined;
  #keeper: Keeper | undefined;
  /** Whether another tab was downloading the file when this one last checked. */
  #following = false;
  /** Resolves when that tab has finished and this one may download. */
  #turn: Promise<void> | undefined;
  #release: Release | undefined;
  #settled = false;
  /** Whether the whole file was read and has the expected hash. */
  #whole = false;
  #download: Download | undefined;
  readonly #ahead = new Map<number, ReturnType<StoredFile['read']>>();

  constructor(address: Address, { form, sha256 = null }: FileOptions, around: Surroundings) {
    this.#address = address;
    this.#name = nameOf(address);
    this.#form = form;
    this.#sha256 = sha256;
    this.#around = around;
  }

  /** Size in bytes; null while unknown. */
  get size(): number | null {
    return this.#download?.size ?? this.#stored?.manifest?.size ?? null;
  }

  /** Where the file is stored. */
  get storage(): DownloadInfo['storage'] {
    return this.#keeper?.storing && this.#storage ? this.#storage.blobs.kind : 'none';
  }

  /** The stored file, if there is one. */
  get #stored(): StoredFile | undefined {
    return this.#keeper?.file;
  }

  /**
   * Iterates once over the chunks. A chunk is valid until the next one is requested. Errors:
   * `NETWORK`, `FILE_CHANGED`, `INTEGRITY`, and `QUOTA_EXCEEDED` if the caller insists on storing.
   */
  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      await this.#open();
      if (this.absent && !this.#around.store?.revalidate) return;
      if (!this.#following && !this.#stored?.complete) await this.#begin(0);
      // A file whose hash was checked before needs no second check: each chunk has a hash of its
      // own.
      const unchecked = this.#sha256 !== null && this.#sha256 !== this.#stored?.manifest?.sha256;
      const hash = unchecked ? await this.#around.hasher() : undefined;
      for (let index = 0; ; index += 1) {
        this.#around.meter.size(this.size);
        const bytes = await this.#chunk(index);
        if (!bytes) break;
        hash?.update(bytes);
        yield bytes;
        void Promise.resolve(this.#keeper?.done(bytes)).then(() => free(bytes));
      }
      if (hash) compareHash(this.#name, this.#sha256, hash.digest());
      this.#whole = true;
    } catch (error) {
      const useless = error instanceof WeftError && (error.code === 'FILE_CHANGED' || error.code === 'INTEGRITY');
      if (useless) await this.forget();
      throw error;
    } finally {
      this.#download?.stop();
      if (!this.#whole) void this.#leave();
    }
  }

  /** Resolves when nothing is left to store. */
  async settle(): Promise<void> {
    if (!this.#whole) return this.#leave();
    const { size } = this;
    await this.#keeper?.settle();
    await this.#keeper?.note({
      ...(size !== null && { size }),
      ...(this.#sha256 !== null && { sha256: this.#sha256 }),
    });
    this.#keeper?.check();
    this.#letGo();
  }

  /** Deletes the file from the store, because it is not the expected one. */
  async forget(): Promise<void> {
    this.#download?.stop();
    await this.#keeper?.forget();
  }

  /** Whether the folder is known not to have this file. */
  get absent(): boolean {
    return this.#stored?.manifest?.absent ?? false;
  }

  /** Looks the file up in the store, and checks whether another tab downloads it. */
  async #open(): Promise<void> {
    const { note, store, opened } = this.#around;
    // blob: and data: URLs are only valid during this visit.
    if (!store || !/^https?:/.test(this.#address.url)) return;
    const source = this.#address.key;
    try {
      this.#storage = await this.#around.storage();
      if (!this.#storage) throw new Error('this browser stores nothing for this page');
      const file = await StoredFile.open(this.#storage, source);
      await this.#dropOther(file);
      if (file.complete && (store.revalidate || file.manifest?.doubted)) await this.#askAgain(file);
      if (!file.complete && !file.manifest?.absent) await this.#enter(file);
      opened.set(source, file);
      this.#keeper = new Keeper(file, this.#storage, {
        ...{ name: this.#name, form: this.#form, store, spared: opened },
        note: (sentence) => note(sentence),
        stopped: () => void this.#leave(),
      });
    } catch (error) {
      if (store.required) throw new WeftError('NOT_SUPPORTED', `cannot store ${source}: ${messageOf(error)}`);
      this.#following = false;
      note(`The store cannot be used: ${messageOf(error)}.`);
    }
  }

  /** Deletes the stored file if its SHA-256 is not the one that the caller expects. */
  async #dropOther(file: StoredFile): Promise<void> {
    const stored = file.manifest?.sha256 ?? null;
    if (stored === null || this.#sha256 === null || stored === this.#sha256) return;
    this.#around.note(`The stored ${this.#name} has another SHA-256 than \`sha256\` says, so it is fetched again.`);
    await file.remove();
  }

  /**
   * Asks the server whether a completely stored file has changed, and then deletes it. If the
   * server cannot be asked, the stored file is used.
   */
  async #askAgain(file: StoredFile): Promise<void> {
    const { note } = this.#around;
    const { doubted, sha256 = null, ...stored } = file.manifest!;
    try {
      const { version, sha256: told } = await this.#look();
      const hashed = this.#address.isHub && told !== null && sha256 !== null;
      const identity = hashed ? (told === sha256 ? 'same' : 'different') : compareVersions(stored, version);
      // the engine refused this file, so an unconfirmed length is doubtful
      if (identity === 'same' && !(doubted && version.size === null)) return;
      note(dropped(this.#name, identity, doubted));
    } catch (error) {
      return note(
        `The server did not say whether ${this.#name} changed, so the stored file is used: ${messageOf(error)}`,
      );
    }
    await file.remove();
  }

  /** Requests the file's properties from the server, not its content. */
  async #look(): Promise<Answer> {
    const { fetch, stallMs } = this.#around;
    const target = { ...this.#address, useCache: false, stallMs };
    const ask = (range: readonly [number, number] | null) =>
      request(fetch, target, new AbortController().signal, range, undefined);
    const answer = await ask([0, 1]).catch(() => ask(null));
    await answer.cancel();
    return answer;
  }

  /** Lets one tab download the file, while the others read what it stores. */
  async #enter(file: StoredFile): Promise<void> {
    const { locks } = this.#around;
    if (!locks) return;
    this.#release = await answeringLocks(locks).tryHold(file.source);
    if (!this.#release) {
      this.#following = true;
      this.#turn = locks.hold(file.source).then((release) => {
        this.#turn = undefined;
        if (this.#settled) return release();
        this.#release = release;
      });
    }
    await file.refresh();
  }

  /**
   * Starts downloading the missing chunks. `read`: number of chunks that the engine has already.
   */
  async #begin(read: number): Promise<void> {
    const { fetch, sleep, note, stallMs, meter } = this.#around;
    const keeper = this.#keeper;
    const file = keeper?.file;
    const download = new Download(
      { ...this.#address, useCache: !keeper?.storing, stallMs },
      {
        fetch,
        sleep,
        note: (sentence) => note(sentence),
        has: (index) => file?.has(index) ?? false,
        hashOf: (index) => file?.hashOf(index),
        received: (bytes) => meter.received(bytes),
        arrived: async (...chunk) => keeper?.arrived(...chunk),
      },
    );
    this.#download = download;
    const known = file?.manifest?.absent ? undefined : file?.manifest;
    let answer: Answer = await download.probe(known && isProvable(known) ? known : undefined);
    const identity = known ? compareVersions(known, answer.version) : 'same';
    if (read === 0 && known && (identity !== 'same' || known.doubted || !file!.usable)) {
      await answer.cancel();
      if (file!.storedBytes > 0) this.#around.note(dropped(this.#name, identity, known.doubted));
      // chunks read ahead belong to the old file
      this.#ahead.clear();
      await file!.remove().catch((error: unknown) => keeper!.stop(error));
      answer = await download.probe(undefined);
    } else if (identity !== 'same' && !(file?.known && sizesAgree(known!, answer.version))) {
      // without a hash, nothing shows that new chunks belong to those that the engine has
      await answer.cancel();
      throw changed(this.#address.url);
    }
    if (read === 0 && this.#address.isHub) this.#sha256 ??= answer.sha256;
    keeper?.expect(answer.version);
    download.start(answer);
  }

  async #chunk(index: number): Promise<Uint8Array | null> {
    this.#keeper?.check();
    if (this.#following) await this.#follow(index);
    if (this.#download?.claimed(index)) return this.#download.take(index);
    const { size } = this;
    if (size !== null && index * CHUNK_BYTES >= size) return null;
    this.#download?.advance(index);
    const stored = await this.#fromStore(index);
    if (stored) {
      this.#around.meter.fromStore(stored.length);
      return stored;
    }
    if (!this.#download) await this.#begin(index);
    return this.#download!.take(index);
  }

  /** Reads a chunk from the store, and the next ones ahead. Damage is noted. */
  async #fromStore(index: number): ReturnType<StoredFile['read']> {
    const file = this.#stored;
    if (!file) return undefined;
    for (let next = index; next < index + READ_AHEAD; next += 1) {
      const other = this.#ahead.has(next) || this.#download?.claimed(next);
      if (!other && file.has(next)) this.#ahead.set(next, file.read(next));
    }
    const reading = this.#ahead.get(index);
    this.#ahead.delete(index);
    const found = await reading;
    if (!reading || found) return found;
    const isThere = await file.refresh(false).catch(() => true);
    if (!isThere) this.#keeper?.lost();
    else
      this.#around.note(
        `Part ${index + 1} of ${this.#name} was damaged or missing in the store, and is fetched again.`,
      );
    return undefined;
  }

  /** Waits until another tab has stored a chunk, or this tab may download. */
  async #follow(index: number): Promise<void> {
    const file = this.#stored!;
    const past = () => this.size !== null && index * CHUNK_BYTES >= this.size;
    while (this.#following && !file.has(index) && !past()) {
      const turn = this.#turn;
      if (turn) await Promise.race([turn, this.#around.sleep(POLL, new AbortController().signal)]);
      const isThere = await file.refresh(index === 0);
      // Only a chunk still missing after the other tab has finished is missing for good.
      this.#following = turn !== undefined;
      if (index === 0 || isThere) continue;
      this.#following = false;
      this.#keeper?.lost();
    }
  }

  /** Finishes storing before another tab may continue. */
  async #leave(): Promise<void> {
    await this.#keeper?.settle();
    this.#letGo();
  }

  #letGo(): void {
    this.#settled = true;
    this.#release?.();
    this.#release = undefined;
  }
}

function sizesAgree(a: Version, b: Version): boolean {
  return a.size === null || b.size === null || a.size === b.size;
}

function dropped(name: string, identity: Identity, doubted: boolean = false): string {
  let why = 'may have changed on the server, which sends no version';
  if (identity === 'different') why = 'changed on the server';
  else if (doubted) why = 'could not be loaded the last time';
  return `${name} ${why}: its stored part is deleted, and it is fetched again.`;
}

function changed(url: string): WeftError {
  return new WeftError('FILE_CHANGED', `${url} changed on the server while it was loaded. Load it again.`);
}
