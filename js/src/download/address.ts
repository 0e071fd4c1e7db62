/**
 * The chunks of a file that has an address, in order, from the store as far as it has them and else from the network, from where they go to the
 * store. Trouble with the store never fails a load: it is noted, and the load goes on without.
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
  /** The files of this load, by source, as far as they were looked for in the store. */
  readonly opened: Map<string, StoredFile>;
}

export interface FileOptions {
  readonly form: Form;
  /** What the whole file must have, where the caller says. */
  readonly sha256?: string | null;
}

/** Chunks that are read from the store ahead of their turn: the next ones are read and checked while the engine works. */
const READ_AHEAD = 3;

/** Milliseconds between two looks at what another tab has stored. */
const POLL = 200;

export class AddressReader {
  readonly #address: Address;
  readonly #name: string;
  readonly #form: Form;
  readonly #around: Surroundings;
  #sha256: string | null;
  #storage: Storage | undefined;
  #keeper: Keeper | undefined;
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

  constructor(address: Address, { form, sha256 = null }: FileOptions, around: Surroundings) {
    this.#address = address;
    this.#name = nameOf(address);
    this.#form = form;
    this.#sha256 = sha256;
    this.#around = around;
  }

  /** In bytes; null while it is not known. */
  get size(): number | null {
    return this.#download?.size ?? this.#stored?.manifest?.size ?? null;
  }

  /** Where the file is kept. */
  get storage(): DownloadInfo['storage'] {
    return this.#keeper?.storing && this.#storage ? this.#storage.blobs.kind : 'none';
  }

  /** What of it is in the store. */
  get #stored(): StoredFile | undefined {
    return this.#keeper?.file;
  }

  /** Can be iterated once; a chunk is there until the next is asked for. Errors: `NETWORK`, `FILE_CHANGED`, `INTEGRITY`; `QUOTA_EXCEEDED` where the caller insists on storing. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      await this.#open();
      if (this.absent && !this.#around.store?.revalidate) return;
      if (!this.#following && !this.#stored?.complete) await this.#begin(0);
      // What was checked before it was stored needs no second check: each chunk has its own.
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

  /** Returns when everything is stored that will be. */
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

  /** Nothing of the file stays in the store: it is not what it should be. */
  async forget(): Promise<void> {
    this.#download?.stop();
    await this.#keeper?.forget();
  }

  /** Whether a folder is known to have no such file. */
  get absent(): boolean {
    return this.#stored?.manifest?.absent ?? false;
  }

  /** Looks for the file in the store, and whether another tab downloads it. */
  async #open(): Promise<void> {
    const { note, store, opened } = this.#around;
    // What a page holds itself, by a blob: or data: address, is of this visit only.
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

  /** What is stored must have the SHA-256 that the caller asks for. */
  async #dropOther(file: StoredFile): Promise<void> {
    const stored = file.manifest?.sha256 ?? null;
    if (stored === null || this.#sha256 === null || stored === this.#sha256) return;
    this.#around.note(`${this.#name} in the store is not the file that is asked for, and is fetched anew.`);
    await file.remove();
  }

  /**
   * Asks the server whether a file that is stored whole changed, and drops it then. What cannot be
   * asked is taken as it is.
   */
  async #askAgain(file: StoredFile): Promise<void> {
    const { note } = this.#around;
    const { doubted, sha256 = null, ...stored } = file.manifest!;
    try {
      const { version, sha256: told } = await this.#look();
      const hashed = this.#address.isHub && told !== null && sha256 !== null;
      const identity = hashed ? (told === sha256 ? 'same' : 'different') : compareVersions(stored, version);
      // the length of what the engine refused may be one that nobody told
      if (identity === 'same' && !(doubted && version.size === null)) return;
      note(dropped(this.#name, identity, doubted));
    } catch (error) {
      return note(`Whether ${this.#name} changed is not known, and the stored file is used: ${messageOf(error)}`);
    }
    await file.remove();
  }

  /** What the server tells of the file, without reading it. */
  async #look(): Promise<Answer> {
    const { fetch, stallMs } = this.#around;
    const target = { ...this.#address, useCache: false, stallMs };
    const ask = (range: readonly [number, number] | null) =>
      request(fetch, target, new AbortController().signal, range, undefined);
    const answer = await ask([0, 1]).catch(() => ask(null));
    await answer.cancel();
    return answer;
  }

  /** Sees to it that one tab downloads the file, and the others read what it stores. */
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

  /** Asks the server, and starts the download of what is missing. `read`: chunks that the engine has already. */
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
      // what was read ahead is of that file too
      this.#ahead.clear();
      await file!.remove().catch((error: unknown) => keeper!.stop(error));
      answer = await download.probe(undefined);
    } else if (identity !== 'same' && !(file?.known && sizesAgree(known!, answer.version))) {
      // no hash tells whether what comes belongs to what the engine has
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

  /** While the next ones are read too. What is damaged there is noted. */
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

  /** Waits for a chunk that another tab downloads, until it is stored or this tab's turn has come. */
  async #follow(index: number): Promise<void> {
    const file = this.#stored!;
    const past = () => this.size !== null && index * CHUNK_BYTES >= this.size;
    while (this.#following && !file.has(index) && !past()) {
      const turn = this.#turn;
      if (turn) await Promise.race([turn, this.#around.sleep(POLL, new AbortController().signal)]);
      const isThere = await file.refresh(index === 0);
      // Only what was looked for after the other tab had ended is missing for good.
      this.#following = turn !== undefined;
      if (index === 0 || isThere) continue;
      this.#following = false;
      this.#keeper?.lost();
    }
  }

  /** What is under way is stored before another tab goes on. */
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
  let why = 'may have changed on the server, which does not tell';
  if (identity === 'different') why = 'changed on the server';
  else if (doubted) why = 'could not be loaded the last time';
  return `${name} ${why}: what was stored of it is dropped, and it is fetched anew.`;
}

function changed(url: string): WeftError {
  return new WeftError('FILE_CHANGED', `${url} is another file than the one that was begun. Load it again.`);
}
