/** Makes room for a download before it begins, by the caller's policy. */

import { WeftError } from '../common/errors.js';
import { isFull } from './blobs.js';
import { StoredFile, type Storage } from './file.js';
import { CHUNK_BYTES } from './manifest.js';

const REMEDY =
  "Delete models (`models.list`, `models.delete`), let weft do it (`store: { evict: 'least-recently-used' }`), or ask for more (`models.persist`).";

/** What to do where the browser's quota is too small: delete models that were not used for longest, or none. */
export type Eviction = 'never' | 'least-recently-used';

/** Sources of which nothing is deleted, such as a Set of them. */
export interface Spared {
  has(source: string): boolean;
}

/**
 * Throws `QUOTA_EXCEEDED` where `needed` bytes for `source` do not fit, as far as the browser
 * tells. What is `spared` is never deleted.
 */
export async function makeRoom(
  storage: Storage,
  source: string,
  needed: number,
  evict: Eviction,
  spared: Spared,
): Promise<void> {
  for (;;) {
    const { usage = 0, quota = Infinity } = await storage.estimate();
    const free = Math.max(0, quota - usage);
    if (needed <= free) return;
    if (!(await evictOldest(storage, evict, spared))) throw quotaExceeded(source, needed, free);
  }
}

/**
 * Deletes the file that was not used for longest, and is not `spared`; returns whether there was
 * one, and the policy allows it.
 */
export async function evictOldest(storage: Storage, evict: Eviction, spared: Spared): Promise<boolean> {
  if (evict === 'never') return false;
  const others = (await storage.manifests.all()).filter(([other, { absent }]) => !spared.has(other) && !absent);
  const [oldest] = others.sort(([, a], [, b]) => a.lastUsed - b.lastUsed);
  if (oldest) await (await StoredFile.open(storage, oldest[0])).remove();
  return oldest !== undefined;
}

/** What a storage rejects with → an error that says what to do, where it is the quota. */
export async function explain(storage: Storage, source: string, error: unknown): Promise<unknown> {
  if (!isFull(error)) return error;
  const { usage = 0, quota = 0 } = await storage.estimate();
  // Some browsers report more than they give, so that pages cannot recognise a machine by its disk.
  return new WeftError(
    'QUOTA_EXCEEDED',
    `storing ${source} needs ${CHUNK_BYTES} more bytes, and the browser refuses them; it reports ${Math.max(0, quota - usage)} as free. ${REMEDY}`,
  );
}

function quotaExceeded(source: string, needed: number, free: number): WeftError {
  return new WeftError(
    'QUOTA_EXCEEDED',
    `storing ${source} needs ${needed} more bytes, and the browser has room for ${free}. ${REMEDY}`,
  );
}
