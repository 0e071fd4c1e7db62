/** One tab downloads a file at a time: the others read what it stores. */

/** Runs when the lock is not needed any more; a worker that ends lets go of it too. */
export type Release = () => void;

export interface Locks {
  /** Undefined where somebody else has it. */
  tryHold(name: string): Promise<Release | undefined>;
  /** Waits for it. */
  hold(name: string): Promise<Release>;
}

export const browserLocks: Locks = {
  tryHold: (name) => request(name, true),
  // Only one that may be refused is.
  hold: async (name) => (await request(name, false))!,
};

function request(name: string, ifAvailable: boolean): Promise<Release | undefined> {
  return new Promise((resolve, reject) => {
    const held = (lock: Lock | null) => {
      if (!lock) return resolve(undefined);
      return new Promise<void>((release) => resolve(release));
    };
    navigator.locks.request(`weft ${name}`, { ifAvailable }, held).catch(reject);
  });
}
