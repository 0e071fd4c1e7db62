/** Where the chunks of models lie. A chunk has its own SHA-256 as its name, so that its content never changes. */

export interface Blobs {
  readonly kind: 'opfs' | 'cache';
  /** Undefined where there is none of that name. What was torn by a crash may be short or wrong: its name tells. */
  get(hash: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Rejects with a `QuotaExceededError` where the browser has no room. */
  put(hash: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** One that is not there is no error. */
  delete(hash: string): Promise<void>;
  /** All names. */
  list(): Promise<string[]>;
}

export function isFull(error: unknown): boolean {
  return error instanceof Error && error.name === 'QuotaExceededError';
}
