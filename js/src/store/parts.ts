/**
 * What has come of chunks that are not whole yet, so that a tab that closes takes little with it. Each such chunk has a file of its
 * own, and in it pieces behind their SHA-256 and length: so what a crash has torn is known. Of a quick download nothing is written here.
 */

import { isFull, type Log, type Logs } from './blobs.js';
import { digest } from './digest.js';

/** Milliseconds that what came may wait to be written, and with it the next that comes: a chunk that is whole by then never is. */
const DELAY = 20;

/** Characters of the hash, and after it of the length. */
const HASH = 64;
const HEAD = HASH + 8;

interface Part {
  /** All that has come. */
  came: Uint8Array<ArrayBuffer>;
  /** How much of that is written. */
  kept: number;
  log: Log | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
  work: Promise<void>;
}

export class Parts {
  readonly #logs: Logs;
  readonly #folder: string;
  /** By the number of the chunk. */
  readonly #parts = new Map<number, Part>();
  /** Numbers of chunks that have a file. */
  readonly #files = new Set<number>();
  #closed = false;
  #removed: Promise<boolean> | undefined;

  constructor(logs: Logs, folder: string) {
    this.#logs = logs;
    this.#folder = folder;
  }

  /** What earlier tabs left, by the number of the chunk. */
  async read(): Promise<Map<number, Uint8Array<ArrayBuffer>>> {
    const found = new Map<number, Uint8Array<ArrayBuffer>>();
    for (const file of await this.#logs.files(this.#folder)) {
      this.#files.add(Number(file));
      found.set(Number(file), await piecesOf(await this.#logs.read(this.#folder, file)));
    }
    return found;
  }

  /** `came`: all that has come of a chunk. */
  keep(index: number, came: Uint8Array<ArrayBuffer>): void {
    if (this.#closed) return;
    const part = this.#parts.get(index) ?? { kept: 0, log: undefined, timer: undefined, work: Promise.resolve(), came };
    this.#parts.set(index, part);
    part.came = came;
    part.timer ??= setTimeout(() => this.#write(index, part), DELAY);
  }

  /** The chunk is stored as a whole. */
  async delete(index: number): Promise<void> {
    await this.#endPart(index);
    if (this.#files.delete(index)) await this.#logs.delete(this.#folder, String(index));
  }

  /** Writes what has come, for the next tab. Nothing is kept any more. */
  async close(): Promise<void> {
    for (const [index, part] of this.#parts) this.#write(index, part);
    await this.#end();
  }

  /** Deletes everything, and returns whether there was anything. Nothing is kept any more. */
  remove(): Promise<boolean> {
    return (this.#removed ??= this.#end().then(async () => {
      if (this.#files.size === 0) return false;
      await this.#logs.delete(this.#folder);
      return true;
    }));
  }

  /** Fulfilled when no file is open any more. */
  async #end(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#parts.keys()].map((index) => this.#endPart(index)));
  }

  async #endPart(index: number): Promise<void> {
    const part = this.#parts.get(index);
    clearTimeout(part?.timer);
    await part?.work;
    part?.log?.close();
    this.#parts.delete(index);
  }

  #write(index: number, part: Part): void {
    clearTimeout(part.timer);
    part.timer = undefined;
    part.work = part.work.then(async () => {
      const { came, kept } = part;
      if (came.length === kept) return;
      try {
        const piece = came.slice(kept);
        const head = (await digest(piece)) + piece.length.toString(16).padStart(HEAD - HASH, '0');
        const record = new Uint8Array(await new Blob([head, piece]).arrayBuffer());
        part.log ??= await this.#logs.open(this.#folder, String(index));
        this.#files.add(index);
        part.log.append(record);
        part.kept = came.length;
      } catch (error) {
        part.log?.close();
        part.log = undefined;
        part.kept = 0;
        // Chunks need the room. Else it is tried again with what comes next: the tab that had the file open may still be closing.
        if (isFull(error)) void this.remove().catch(() => undefined);
      }
    });
  }
}

/** The bytes of all pieces before the first that is torn. */
async function piecesOf(log: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; ;) {
    const head = new TextDecoder().decode(log.subarray(at, (at += HEAD)));
    const piece = log.slice(at, (at += parseInt(head.slice(HASH), 16)));
    if ((await digest(piece)) !== head.slice(0, HASH)) return new Uint8Array(await new Blob(pieces).arrayBuffer());
    pieces.push(piece);
  }
}
