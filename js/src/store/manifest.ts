/** What is written down of a stored file: what its source said of it, and the names of its chunks. */

import type { Table } from './database.js';

/** Bytes of a chunk. Little is lost when a tab closes, and reading and writing are about as fast as with larger ones. */
export const CHUNK_BYTES: number = 1 << 20;

/** Bytes of a chunk of a file whose size may be known: the last one is shorter. */
export function chunkBytes(index: number, size: number | null): number {
  return Math.max(0, Math.min(CHUNK_BYTES, (size ?? Infinity) - index * CHUNK_BYTES));
}

/** What a server tells of a file, so that a change is seen; null for what it does not tell. */
export interface Version {
  /** In bytes. */
  readonly size: number | null;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** Whether two answers speak of the same bytes, as far as they tell. */
export function sameVersion(a: Version, b: Version): boolean {
  const differ = (x: unknown, y: unknown) => x !== null && y !== null && x !== y;
  if (differ(a.size, b.size)) return false;
  // Mirrors of one server may have copied the file at different times.
  if (a.etag !== null && b.etag !== null) return a.etag === b.etag;
  return !differ(a.lastModified, b.lastModified);
}

export interface Manifest extends Version {
  readonly chunkBytes: number;
  /** Of the whole file, once it was checked. */
  readonly sha256: string | null;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
}

/**
 * Manifests and chunk names in one table. A chunk has a row of its own: a large file has thousands, and each is written down as
 * soon as it is stored. Sources are addresses, which have no line breaks.
 */
export class Manifests {
  readonly #table: Table<Manifest | string>;

  constructor(table: Table<Manifest | string>) {
    this.#table = table;
  }

  async get(source: string): Promise<Manifest | undefined> {
    return (await this.#table.get(fileKey(source))) as Manifest | undefined;
  }

  set(source: string, manifest: Manifest): Promise<void> {
    return this.#table.set(fileKey(source), manifest);
  }

  /** All sources that have one. */
  async all(): Promise<[string, Manifest][]> {
    const found = await this.#table.entries('file\n');
    return found.map(([key, value]) => [key.slice('file\n'.length), value as Manifest]);
  }

  /** SHA-256 of the chunks of a file by their number, with holes. */
  async chunks(source: string): Promise<Map<number, string>> {
    const found = await this.#table.entries(`chunk\n${source}\n`);
    return new Map(found.map(([key, hash]) => [Number(key.slice(key.lastIndexOf('\n') + 1)), hash as string]));
  }

  setChunk(source: string, index: number, hash: string): Promise<void> {
    return this.#table.set(chunkKey(source, index), hash);
  }

  deleteChunk(source: string, index: number): Promise<void> {
    return this.#table.delete([chunkKey(source, index)]);
  }

  /** SHA-256 of the chunks of all files. */
  async hashes(): Promise<Set<string>> {
    return new Set((await this.#table.entries('chunk\n')).map(([, hash]) => hash as string));
  }

  /** Bytes of all chunks; what several files share counts once. */
  async storedBytes(): Promise<number> {
    const sizes = new Map<string, number>();
    for (const [source, { size }] of await this.all()) {
      for (const [index, hash] of await this.chunks(source)) sizes.set(hash, chunkBytes(index, size));
    }
    return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Forgets a file; gives the names of chunks that no other file has. */
  async delete(source: string): Promise<string[]> {
    const own = await this.#table.entries(`chunk\n${source}\n`);
    await this.#table.delete([fileKey(source), ...own.map(([key]) => key)]);
    const others = await this.hashes();
    return [...new Set(own.map(([, hash]) => hash as string))].filter((hash) => !others.has(hash));
  }
}

const fileKey = (source: string) => `file\n${source}`;
const chunkKey = (source: string, index: number) => `chunk\n${source}\n${index}`;
