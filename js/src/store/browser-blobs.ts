/** Finds the storage for chunks that this browser has. */

import { ANSWER_MS, answered } from './answer.js';
import { isFull, type Blobs } from './blobs.js';
import { cacheBlobs } from './cache.js';
import { digest } from './digest.js';
import { opfsBlobs } from './opfs.js';

/** Milliseconds for one to show that it works: less than a load waits for the store. */
const TRIAL_MS = ANSWER_MS / 3;

/**
 * The first storage that works, found out by using it: a browser may have the functions and refuse them, in private windows
 * for example. Memory is none of them: it would hold the model twice, and be gone with the page.
 */
export async function browserBlobs(): Promise<Blobs | undefined> {
  for (const open of [opfsBlobs, cacheBlobs]) {
    // where one fails or never answers, the next one may do
    const blobs = await answered(tried(open), 'it', TRIAL_MS).catch(() => undefined);
    if (blobs) return blobs;
  }
  return undefined;
}

/** The storage, if it keeps what is put there. */
async function tried(open: () => Promise<Blobs>): Promise<Blobs | undefined> {
  const blobs = await open();
  const probe = crypto.getRandomValues(new Uint8Array(16));
  const name = await digest(probe);
  try {
    await blobs.put(name, probe);
  } catch (error) {
    // A full store works: what it has can be read and deleted.
    if (isFull(error)) return blobs;
    throw error;
  }
  const found = await blobs.get(name);
  await blobs.delete(name);
  return found && (await digest(found)) === name ? blobs : undefined;
}
