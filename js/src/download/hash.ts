/** SHA-256 of a stream. The browser's own needs all bytes at once. */

import { WeftError } from '../common/errors.js';

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Returns 64 lower-case hexadecimal digits and ends the hash. */
  digest(): string;
}

export function compareHash(name: string, expected: string | null, got: string): void {
  if (got === expected) return;
  throw new WeftError(
    'INTEGRITY',
    `${name} is not the expected file, or was altered on the way: expected the SHA-256 ${expected}, got ${got}. It was not stored.`,
  );
}
