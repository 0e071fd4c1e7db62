import { CHUNK_BYTES } from '../store/manifest.js';

/** Assembles bytes in order into chunks. */
export class Assembly {
  /** Position of the next byte in the file. */
  at: number;
  #chunk: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;

  /** `at`: the start of a chunk. */
  constructor(at: number) {
    this.at = at;
  }

  /**
   * Adds bytes to the current chunk and returns how many it took. The `size` of the file bounds its
   * last chunk.
   */
  add(bytes: Uint8Array, size: number | null): number {
    const length = Math.min(CHUNK_BYTES, (size ?? Infinity) - (this.at - this.#filled));
    this.#chunk ??= new Uint8Array(length);
    const part = bytes.subarray(0, length - this.#filled);
    this.#chunk.set(part, this.#filled);
    this.#filled += part.length;
    this.at += part.length;
    return part.length;
  }

  /** Returns the chunk once it is complete, and starts the next one. */
  finished(): Uint8Array<ArrayBuffer> | undefined {
    return this.#filled === this.#chunk?.length ? this.rest() : undefined;
  }

  /** Returns the incomplete chunk; undefined if it is empty. */
  rest(): Uint8Array<ArrayBuffer> | undefined {
    const chunk = this.#chunk;
    const rest = chunk && this.#filled < chunk.length ? chunk.slice(0, this.#filled) : chunk;
    this.#chunk = undefined;
    this.#filled = 0;
    return rest;
  }
}
