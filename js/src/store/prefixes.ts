/**
 * Prompts that outlive the page: what was computed of them, as blocks of the KV cache, one after
 * the other in a file beside those of the model. Its chunks are checked when they are read, as any.
 * Where two prompts begin alike, they share chunks.
 */

import { isFull } from './blobs.js';
import { digest } from './digest.js';
import { StoredFile, type Storage } from './file.js';
import { CHUNK_BYTES, type StoredPrefix } from './manifest.js';
import { evictOldest, makeRoom, type Spared } from './room.js';

/** Positions of a block, as in src/record/kv.rs. */
export const BLOCK = 64;

/** Most bytes of prompts that no app has asked to remember. */
const MOST_BYTES = 512 * 2 ** 20;

/** Chunks that are read at once. */
const AT_ONCE = 4;

/** Between the source of a model and the name of a prompt: addresses of models have no fragment. */
const MARK = '#prompt-';

/** Whether a source is of a prompt; of `model`, if that is given. */
export function isPrompt(source: string, model?: string): boolean {
  return model === undefined ? source.includes(MARK) : source.startsWith(model + MARK);
}

/** A block, and the ids up to its last position. */
export interface Block {
  readonly ids: readonly number[];
  readonly bytes: Uint8Array;
}

export class StoredPrefixes {
  readonly #storage: Storage;
  /** By source; read once, because another tab's are no loss. */
  #known: Promise<Map<string, StoredPrefix>> | undefined;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /**
   * The blocks that `ids` needs behind the first `cached` tokens, from the prompt that shares most
   * with it. Ends early where one is damaged; the prompt is then deleted.
   */
  async *read(key: string, ids: ArrayLike<number>, cached: number): AsyncGenerator<Block> {
    const [source, { ids: stored }, shared] = await this.#longest(key, ids);
    // less is computed as quickly
    if (shared < cached + BLOCK) return;
    const file = await StoredFile.open(this.#storage, source);
    const { size = null } = file.manifest ?? {};
    if (size === null || !file.complete) return void (await this.#known)?.delete(source);
    await file.note({});
    const bytes = size / Math.ceil(stored.length / BLOCK);
    const chunks = new ReadAhead(file, size);
    for (let first = cached - (cached % BLOCK); first < shared; first += BLOCK) {
      const block = new Uint8Array(bytes);
      const start = (first / BLOCK) * bytes;
      for (let filled = 0; filled < bytes;) {
        const index = Math.floor((start + filled) / CHUNK_BYTES);
        const chunk = await chunks.read(index);
        if (!chunk) return this.#remove(source);
        const part = chunk.subarray((start + filled) % CHUNK_BYTES).subarray(0, bytes - filled);
        if (part.length === 0) return this.#remove(source);
        block.set(part, filled);
        filled += part.length;
      }
      yield { ids: stored.slice(0, first + BLOCK), bytes: block };
    }
  }

  /** Whether all of a prompt is stored; one that is to be kept is then kept. */
  async has({ key, ids, pinned }: StoredPrefix): Promise<boolean> {
    const [source, prefix, shared] = await this.#longest(key, ids);
    if (shared < ids.length) return false;
    const file = await StoredFile.open(this.#storage, source);
    const all = await this.#all();
    if (!file.complete) {
      // it was deleted meanwhile
      all.delete(source);
      return false;
    }
    if (!pinned || prefix.pinned) return true;
    const kept = { ...prefix, pinned };
    all.set(source, kept);
    return file.note({ prefix: kept });
  }

  /**
   * Stores a prompt of `model`, whose blocks `read` gives one after the other: those that no stored
   * prompt has. Returns the bytes of these. Errors: `QUOTA_EXCEEDED`, and those of `read` and of
   * the storage; nothing is then stored.
   */
  async put(
    model: string,
    prefix: StoredPrefix,
    read: (ids: readonly number[]) => Promise<Uint8Array>,
  ): Promise<number> {
    const known = await this.#all();
    const { key, ids } = prefix;
    const name = await digest(new TextEncoder().encode(`${key} ${ids.join()}`));
    const source = model + MARK + name.slice(0, 16);
    const file = await StoredFile.open(this.#storage, source);
    const spared = { has: (other: string) => other === source || !isPrompt(other) };
    try {
      const chunk = new Uint8Array(CHUNK_BYTES);
      const begun = await this.#begun(key, ids);
      const first = begun.bytes === 0 ? await read(ids.slice(0, BLOCK)) : undefined;
      const bytesOfBlock = first?.length ?? begun.bytes;
      const size = bytesOfBlock * Math.ceil(ids.length / BLOCK);
      await makeRoom(this.#storage, source, size, 'least-recently-used', spared);
      await file.begin({ size, etag: null, lastModified: null }, { prefix });
      const shared = (await file.share(begun.hashes)) * CHUNK_BYTES;
      let done = shared;
      for (let block = Math.floor(done / bytesOfBlock); block * BLOCK < ids.length; block += 1) {
        const bytes = (block === 0 && first) || (await read(ids.slice(0, (block + 1) * BLOCK)));
        for (let taken = done - block * bytesOfBlock; taken < bytes.length;) {
          const filled = done % CHUNK_BYTES;
          const part = bytes.subarray(taken, taken + CHUNK_BYTES - filled);
          chunk.set(part, filled);
          taken += part.length;
          done += part.length;
          if (done % CHUNK_BYTES !== 0 && done !== size) continue;
          const index = Math.ceil(done / CHUNK_BYTES) - 1;
          await this.#write(file, index, chunk.slice(0, done - index * CHUNK_BYTES), spared);
        }
      }
      known.set(source, prefix);
      await this.#bound(source, prefix);
      return size - shared;
    } catch (error) {
      await this.#remove(source).catch(() => undefined);
      throw error;
    }
  }

  /** The chunks of a stored prompt that `ids` begins with, and the bytes of a block; 0 without. */
  async #begun(key: string, ids: readonly number[]): Promise<{ hashes: string[]; bytes: number }> {
    const [source, { ids: stored }, shared] = await this.#longest(key, ids);
    const file = await StoredFile.open(this.#storage, source);
    const size = file.manifest?.size ?? 0;
    if (size === 0 || !file.complete) return { hashes: [], bytes: 0 };
    const bytes = size / Math.ceil(stored.length / BLOCK);
    const chunks = Math.floor((Math.floor(shared / BLOCK) * bytes) / CHUNK_BYTES);
    return { hashes: Array.from({ length: chunks }, (_, index) => file.hashOf(index) ?? ''), bytes };
  }

  /** If the storage is full after all, deletes other prompts. */
  async #write(file: StoredFile, index: number, bytes: Uint8Array<ArrayBuffer>, spared: Spared): Promise<void> {
    const hash = await digest(bytes);
    for (;;) {
      try {
        return await file.put(index, bytes, hash);
      } catch (error) {
        if (!isFull(error) || !(await evictOldest(this.#storage, 'least-recently-used', spared))) throw error;
      }
    }
  }

  /**
   * Deletes prompts that the new one goes on from, and the oldest of those that are too many. Less
   * than a block at their ends may differ: of a chat, the mark behind which an answer was to begin.
   */
  async #bound(newest: string, { key, ids }: StoredPrefix): Promise<void> {
    const known = await this.#all();
    const others = [...known].filter(([source, { pinned }]) => source !== newest && !pinned);
    const files: StoredFile[] = [];
    for (const [source, other] of others) {
      const isShorter = other.key === key && common(other.ids, ids) > other.ids.length - BLOCK;
      if (isShorter) await this.#remove(source);
      else files.push(await StoredFile.open(this.#storage, source));
    }
    const age = (file: StoredFile) => file.manifest?.lastUsed ?? 0;
    let bytes = files.reduce((sum, file) => sum + file.storedBytes, 0);
    for (const file of files.sort((a, b) => age(a) - age(b))) {
      if (bytes <= MOST_BYTES) return;
      bytes -= file.storedBytes;
      await this.#remove(file.source);
    }
  }

  /** The stored prompt that shares most with `ids`. */
  async #longest(key: string, ids: ArrayLike<number>): Promise<readonly [string, StoredPrefix, number]> {
    let longest: readonly [string, StoredPrefix, number] = ['', { key, ids: [], pinned: false }, 0];
    for (const [source, prefix] of await this.#all()) {
      const shared = prefix.key === key ? common(prefix.ids, ids) : 0;
      if (shared > longest[2]) longest = [source, prefix, shared];
    }
    return longest;
  }

  async #remove(source: string): Promise<void> {
    (await this.#all()).delete(source);
    await (await StoredFile.open(this.#storage, source)).remove();
  }

  #all(): Promise<Map<string, StoredPrefix>> {
    return (this.#known ??= this.#storage.manifests
      .all()
      .then((all) => new Map(all.flatMap(([source, { prefix }]) => (prefix ? [[source, prefix] as const] : [])))));
  }
}

/** Reads the chunks of a file in order, some at once: a browser answers each only after a while. */
class ReadAhead {
  readonly #file: StoredFile;
  readonly #chunks: number;
  readonly #reads: Map<number, Promise<Uint8Array | undefined>> = new Map();

  constructor(file: StoredFile, size: number) {
    this.#file = file;
    this.#chunks = Math.ceil(size / CHUNK_BYTES);
  }

  /** To be asked in order. */
  read(index: number): Promise<Uint8Array | undefined> {
    this.#reads.delete(index - 1);
    for (let next = index; next < Math.min(index + AT_ONCE, this.#chunks); next += 1) {
      if (!this.#reads.has(next)) this.#reads.set(next, this.#file.read(next));
    }
    return this.#reads.get(index) ?? Promise.resolve(undefined);
  }
}

/** How many of the first ids are the same. */
function common(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let count = 0;
  while (count < a.length && a[count] === b[count]) count += 1;
  return count;
}
