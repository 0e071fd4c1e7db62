/**
 * Storage of models' chunks. A chunk is named by its SHA-256, so that its content never changes.
 */

export interface Blobs {
  readonly kind: 'opfs' | 'cache';
  /**
   * Undefined if there is none. A chunk torn by a crash may be too short or wrong, which its name
   * reveals.
   */
  get(hash: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Rejects with a `QuotaExceededError` if the browser has no space. */
  put(hash: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Does nothing if there is none. */
  delete(hash: string): Promise<void>;
  /** The names of all chunks. */
  list(): Promise<string[]>;
}

export function isFull(error: unknown): boolean {
  return error instanceof Error && error.name === 'QuotaExceededError';
}
