/** What is in the store and belongs to nothing. */

import type { Storage } from './file.js';
import { CHUNKS } from './locks.js';

/**
 * Deletes the chunks that no file has: a tab that closes may have stored one that it had no time to write down, or have written
 * that a file is gone before its chunks were. Returns how many there were. Where the browser has no locks nobody knows what another tab
 * stores, and nothing is deleted.
 */
export async function sweep({ blobs, manifests, locks }: Storage): Promise<number> {
  if (!locks) return 0;
  const release = await locks.hold(CHUNKS);
  try {
    const known = await manifests.hashes();
    const orphans = (await blobs.list()).filter((hash) => !known.has(hash));
    for (const hash of orphans) await blobs.delete(hash);
    return orphans.length;
  } finally {
    release();
  }
}
