/** Records of stored files: what their sources tell of them, and the names of their chunks. */

import type { Rows, Table } from './database.js';
import type { Version } from './version.js';

/**
 * Bytes of a chunk. Small enough to lose little when a tab closes; larger ones are hardly faster.
 */
export const CHUNK_BYTES: number = 1 << 20;

/** Bytes of a chunk; the last one of a file is shorter, if the size is known. */
export function chunkBytes(index: number, size: number | null, whole: number = CHUNK_BYTES): number {
  return Math.max(0, Math.min(whole, (size ?? Infinity) - index * whole));
}

/** What a stored prompt is of. */
export interface StoredPrefix {
  /** Its keys and values are of use where this is the same: weights, adapters, shape, format. */
  readonly key: string;
  readonly ids: readonly number[];
  /** Whether an app has asked for it. */
  readonly pinned: boolean;
}

export interface Manifest extends Version {
  /** Identifies this copy. A later copy has another id, and shares no row with this one. */
  readonly id: string;
  readonly chunkBytes: number;
  /** Hash of the whole file, once checked. */
  readonly sha256: string | null;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
  /** Whether the folder is known not to have this file. */
  readonly absent?: boolean;
  /** Whether the engine refused the file; the server is then asked again. */
  readonly doubted?: boolean;
  /** Present for a prompt, which is no file of a model. */
  readonly prefix?: StoredPrefix;
}

/** One copy of a file. */
export interface Copy {
  readonly source: string;
  readonly id: string;
}

/** A copy, and the SHA-256 of its chunks by index, with holes. */
export interface Found {
  readonly manifest: Manifest;
  readonly chunks: Map<number, string>;
}

type Row = Manifest | Import | string;

/** A copy that is not read before it is complete. */
interface Import {
  readonly source: string;
  readonly manifest: Manifest;
}

/**
 * One table with three kinds of rows. `file` and a source: the manifest of its copy. `import` and
 * an id: a copy that will take its place. `chunk`, the id of a copy and an index: the chunk's
 * SHA-256.
 *
 * Each chunk has a row because a large file has thousands. A chunk's row is only written in a
 * transaction that finds its copy, and a copy is deleted in one transaction with all its rows. So
 * no row outlives its copy, and a download notices when its copy is gone. Sources contain no line
 * breaks.
 */
export class Manifests {
  readonly #table: Table<Row>;

  constructor(table: Table<Row>) {
    this.#table = table;
  }

  /** All sources and their copies. */
  async all(): Promise<[string, Manifest][]> {
    const found = await this.#table.entries(FILE);
    return found.map(([key, value]) => [key.slice(FILE.length), value as Manifest]);
  }

  find(source: string): Promise<Found | undefined> {
    return this.#table.atomically(async (rows) => {
      const manifest = await copyOf(rows, source);
      return manifest && { manifest, chunks: await chunksOf(rows, manifest.id) };
    });
  }

  /** Starts a copy in place of the existing one. `dangling`: chunks that only that one had. */
  begin(source: string, manifest: Manifest): Promise<{ readonly dangling: readonly string[] }> {
    return this.#table.atomically(async (rows) => {
      const before = await copyOf(rows, source);
      const dangling = before ? await drop(rows, before.id) : [];
      await rows.set(FILE + source, manifest);
      return { dangling };
    });
  }

  /** Starts a copy that stays aside until {@link Manifests.finishImport}. */
  beginImport(source: string, manifest: Manifest): Promise<void> {
    return this.#table.set(IMPORT + manifest.id, { source, manifest });
  }

  /**
   * `finished` is false if the copy was swept. `dangling`: chunks that only the replaced copy had.
   */
  finishImport({ source, id }: Copy, size: number): Promise<{ finished: boolean; dangling: readonly string[] }> {
    return this.#table.atomically(async (rows) => {
      const found = (await rows.get(IMPORT + id)) as Import | undefined;
      if (!found) return { finished: false, dangling: [] };
      const before = await copyOf(rows, source);
      await rows.delete([IMPORT + id]);
      await rows.set(FILE + source, { ...found.manifest, size });
      return { finished: true, dangling: before ? await drop(rows, before.id) : [] };
    });
  }

  /** Copies that were started and not finished. */
  async imports(): Promise<Copy[]> {
    const found = await this.#table.entries(IMPORT);
    return found.map(([key, value]) => ({ source: (value as Import).source, id: key.slice(IMPORT.length) }));
  }

  /** Returns whether the copy is still there; if not, nothing is written. */
  setChunk({ source, id }: Copy, index: number, hash: string): Promise<boolean> {
    return this.#table.atomically(async (rows) => {
      const there = (await copyOf(rows, source))?.id === id || (await rows.get(IMPORT + id)) !== undefined;
      if (there) await rows.set(chunkKey(id, index), hash);
      return there;
    });
  }

  /** Forgets a chunk, unless its SHA-256 has changed. */
  deleteChunk(id: string, index: number, hash: string): Promise<void> {
    return this.#table.atomically(async (rows) => {
      const key = chunkKey(id, index);
      if ((await rows.get(key)) === hash) await rows.delete([key]);
    });
  }

  /** Records properties of a copy; undefined if it is gone. */
  change({ source, id }: Copy, what: Partial<Manifest>): Promise<Manifest | undefined> {
    return this.#table.atomically(async (rows) => {
      const manifest = await copyOf(rows, source);
      if (manifest?.id !== id) return undefined;
      const changed = { ...manifest, ...what };
      await rows.set(FILE + source, changed);
      return changed;
    });
  }

  /**
   * Forgets the copy of a source, or only the copy with this id. `dangling`: chunks that only it
   * had.
   */
  delete(source: string, id?: string): Promise<{ readonly deleted: boolean; readonly dangling: readonly string[] }> {
    return this.#table.atomically(async (rows) => {
      const manifest = await copyOf(rows, source);
      if (!manifest || (id !== undefined && manifest.id !== id)) return { deleted: false, dangling: [] };
      await rows.delete([FILE + source]);
      return { deleted: true, dangling: await drop(rows, manifest.id) };
    });
  }

  deleteImport(id: string): Promise<{ readonly dangling: readonly string[] }> {
    return this.#table.atomically(async (rows) => {
      await rows.delete([IMPORT + id]);
      return { dangling: await drop(rows, id) };
    });
  }

  /** SHA-256 of the chunks of all copies. */
  async hashes(): Promise<Set<string>> {
    return hashesOf(this.#table);
  }

  /** Bytes of all chunks; shared ones count once. */
  storedBytes(): Promise<number> {
    return this.#table.atomically(async (rows) => {
      const files = (await rows.entries(FILE)).map(([, manifest]) => manifest as Manifest);
      const imports = (await rows.entries(IMPORT)).map(([, found]) => (found as Import).manifest);
      const sizes = new Map<string, number>();
      for (const { id, size, chunkBytes: whole } of [...files, ...imports]) {
        for (const [index, hash] of await chunksOf(rows, id)) sizes.set(hash, chunkBytes(index, size, whole));
      }
      return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
    });
  }
}

const FILE = 'file\n';
const IMPORT = 'import\n';
const CHUNK = 'chunk\n';
const chunkKey = (id: string, index: number) => `${CHUNK}${id}\n${index}`;

async function copyOf(rows: Rows<Row>, source: string): Promise<Manifest | undefined> {
  return (await rows.get(FILE + source)) as Manifest | undefined;
}

async function chunksOf(rows: Rows<Row>, id: string): Promise<Map<number, string>> {
  const found = await rows.entries(`${CHUNK}${id}\n`);
  return new Map(found.map(([key, hash]) => [Number(key.slice(key.lastIndexOf('\n') + 1)), hash as string]));
}

async function hashesOf(rows: Rows<Row>): Promise<Set<string>> {
  return new Set((await rows.entries(CHUNK)).map(([, hash]) => hash as string));
}

/** Deletes the chunks of a copy; returns the SHA-256 of those that no other copy has. */
async function drop(rows: Rows<Row>, id: string): Promise<string[]> {
  const own = await chunksOf(rows, id);
  await rows.delete([...own.keys()].map((index) => chunkKey(id, index)));
  const others = await hashesOf(rows);
  return [...new Set(own.values())].filter((hash) => !others.has(hash));
}
