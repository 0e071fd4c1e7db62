/** Finds this browser's storage for chunks. */

import { ANSWER_MS, answered } from './answer.js';
import { isFull, type Blobs } from './blobs.js';
import { cacheBlobs } from './cache.js';
import { digest } from './digest.js';
import { opfsBlobs } from './opfs.js';

/** Milliseconds to try out a storage; less than a load waits for the store. */
const TRIAL_MS = ANSWER_MS / 3;

/**
 * Returns the first storage that works, found by using it: a browser may have the functions and
 * refuse them, in private windows for example. Memory is not used as storage: it would hold the
 * model twice and only as long as the page.
 */
export async function browserBlobs(): Promise<Blobs | undefined> {
  for (const open of [opfsBlobs, cacheBlobs]) {
    // if one fails or never answers, the next one may work
    const blobs = await answered(tried(open), 'it', TRIAL_MS).catch(() => undefined);
    if (blobs) return blobs;
  }
  return undefined;
}

/** Opens a storage and checks that it returns what is stored. */
async function tried(open: () => Promise<Blobs>): Promise<Blobs | undefined> {
  const blobs = await open();
  const probe = crypto.getRandomValues(new Uint8Array(16));
  const name = await digest(probe);
  try {
    await blobs.put(name, probe);
  } catch (error) {
    // A full store still works for reading and deleting.
    if (isFull(error)) return blobs;
    throw error;
  }
  const found = await blobs.get(name);
  await blobs.delete(name);
  return found && (await digest(found)) === name ? blobs : undefined;
}
