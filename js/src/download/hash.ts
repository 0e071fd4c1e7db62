/** SHA-256 of a whole file, while it streams: what browsers have of their own needs all of it at once. */

import { WeftError } from '../common/errors.js';

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** 64 lower-case hexadecimal digits; nothing can follow. */
  digest(): string;
}

export function compareHash(name: string, expected: string | null, got: string): void {
  if (got === expected) return;
  throw new WeftError(
    'INTEGRITY',
    `${name} is not the expected file, or was altered on the way: expected the SHA-256 ${expected}, got ${got}. Nothing of it is kept.`,
  );
}
