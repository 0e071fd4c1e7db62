/** Cleans up what belongs to no stored file. */

import { dropping, type Storage } from './file.js';
import { CHUNKS } from './locks.js';

/**
 * Deletes imports whose tab has gone, and chunks that belong to no file: a closing tab may leave a
 * chunk that it has not recorded yet, or chunks of a file that it has already forgotten. Returns
 * the number of chunks. Without locks, nothing is deleted, because another tab may be storing.
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
