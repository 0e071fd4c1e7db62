/** Makes room for a download before it starts, as the caller's policy allows. */

import { WeftError } from '../common/errors.js';
import { isFull } from './blobs.js';
import { StoredFile, type Storage } from './file.js';
import { CHUNK_BYTES } from './manifest.js';

const REMEDY =
  "Delete models (`models.list`, `models.delete`), let weft do it (`store: { evict: 'least-recently-used' }`), or ask for more (`models.persist`).";

/**
 * What to do when the browser's quota is too small: delete the least recently used models, or none.
 */
export type Eviction = 'never' | 'least-recently-used';

/** Sources that are never evicted; a `Set` fits. */
export interface Spared {
  has(source: string): boolean;
}

/**
 * Throws `QUOTA_EXCEEDED` if `needed` bytes for `source` do not fit, as far as the browser tells.
 * `spared` sources are never deleted.
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
 * Deletes the least recently used file that is not `spared`, if the policy allows it. Returns
 * whether there was one.
 */
export async function evictOldest(storage: Storage, evict: Eviction, spared: Spared): Promise<boolean> {
  if (evict === 'never') return false;
  const others = (await storage.manifests.all()).filter(([other, { absent }]) => !spared.has(other) && !absent);
  const [oldest] = others.sort(([, a], [, b]) => a.lastUsed - b.lastUsed);
  if (oldest) await (await StoredFile.open(storage, oldest[0])).remove();
  return oldest !== undefined;
}

/** Turns a storage's quota error into one that says what to do; returns other errors unchanged. */
export async function explain(storage: Storage, source: string, error: unknown): Promise<unknown> {
  if (!isFull(error)) return error;
  const { usage = 0, quota = 0 } = await storage.estimate();
  // Some browsers report more space than they give, to prevent fingerprinting by disk size.
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
