/** Who does what of several tabs: one downloads a file at a time, for example, and the others read what it stores. */

/** Runs when the lock is not needed any more; a worker that ends lets go of it too. */
export type Release = () => void;

export interface Locks {
  /** Undefined where somebody else has it. */
  tryHold(name: string): Promise<Release | undefined>;
  /** Waits for it, until `signal` is aborted: then it rejects. Several may have it in the mode `shared`, if nobody has it alone. */
  hold(name: string, options?: Pick<LockOptions, 'mode' | 'signal'>): Promise<Release>;
}

/** Who stores a chunk shares it until the chunk has been written down; who deletes what nobody has written down has it alone. */
export const CHUNKS = 'chunks';

export const browserLocks: Locks = {
  tryHold: (name) => request(name, { ifAvailable: true }),
  // Only one that may be refused is.
  hold: async (name, options = {}) => (await request(name, options))!,
};

/** Names of the locks that somebody has, of those that begin so. */
export async function heldLocks(start: string): Promise<string[]> {
  const { held = [] } = await navigator.locks.query();
  return held.flatMap(({ name }) => (name?.startsWith(PREFIX + start) ? name.slice(PREFIX.length) : []));
}

/** Other scripts of the page have locks too. */
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
