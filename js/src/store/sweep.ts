/** What is in the store and belongs to nothing. */

import type { Storage } from './file.js';
import { CHUNKS } from './locks.js';

/**
 * Deletes the chunks that no file has, and parts of chunks: a tab that closes may have stored one that it had no time to write down, or
 * have written that a file is gone before its chunks were. Returns how many chunks there were. Where the browser has no locks nobody
 * knows what another tab stores, and no chunk is deleted.
 */
export async function sweep({ blobs, manifests, locks }: Storage): Promise<number> {
  // A folder is made after it was written down whose it is: so it is looked for before.
  const folders = (await blobs.logs?.folders()) ?? [];
  const used = new Set((await manifests.all()).map(([, { parts }]) => parts));
  for (const folder of folders) if (!used.has(folder)) await blobs.logs?.delete(folder).catch(() => undefined);
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
