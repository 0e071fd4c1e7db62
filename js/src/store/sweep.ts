/** What is in the store and belongs to nothing. */

import { dropping, type Storage } from './file.js';
import { CHUNKS } from './locks.js';

/**
 * Deletes imports that ended with their tab, and the chunks that no file has: a tab that closes may
 * have stored one that it had no time to write down, or have written that a file is gone before its
 * chunks were. Returns how many chunks there were. Where the browser has no locks nobody knows what
 * another tab stores, and nothing is deleted.
 */
export async function sweep(storage: Storage): Promise<number> {
  const { blobs, manifests, locks } = storage;
  if (!locks) return 0;
  for (const { source, id } of await manifests.imports()) {
    const alone = await locks.tryHold(source);
    if (alone) await dropping(storage, () => manifests.deleteImport(id)).finally(alone);
  }
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
