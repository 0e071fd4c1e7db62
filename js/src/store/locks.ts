/**
 * Divides work among tabs: one downloads a file, for example, and the others read what it stores.
 */

/** Releases a lock. A worker that ends releases its locks too. */
export type Release = () => void;

export interface Locks {
  /** Undefined if another holder has it. */
  tryHold(name: string): Promise<Release | undefined>;
  /**
   * Waits for the lock; rejects when `signal` is aborted. In the mode `shared`, several may hold it
   * unless one holds it alone.
   */
  hold(name: string, options?: Pick<LockOptions, 'mode' | 'signal'>): Promise<Release>;
}

/** Shared while a chunk is stored and recorded; held alone while unrecorded chunks are deleted. */
export const CHUNKS = 'chunks';

export const browserLocks: Locks = {
  tryHold: (name) => request(name, { ifAvailable: true }),
  // Only a request that allows it is refused.
  hold: async (name, options = {}) => (await request(name, options))!,
};

/** Names of held locks that start with this. */
export async function heldLocks(start: string): Promise<string[]> {
  const { held = [] } = await navigator.locks.query();
  return held.flatMap(({ name }) => (name?.startsWith(PREFIX + start) ? name.slice(PREFIX.length) : []));
}

/** Keeps weft's locks apart from the page's. */
const PREFIX = 'weft ';

function request(name: string, options: LockOptions): Promise<Release | undefined> {
  return new Promise((resolve, reject) => {
    const held = (lock: Lock | null) => {
      if (!lock) return resolve(undefined);
      return new Promise<void>((release) => resolve(release));
    };
    navigator.locks.request(PREFIX + name, options, held).catch(reject);
  });
}
