/** Adds time limits to the store and its locks; see answer.ts. */

import { ANSWER_MS, answered } from './answer.js';
import type { Storage } from './file.js';
import type { Locks, Release } from './locks.js';

/** Factor by which the wait for a lock may be longer: another tab may be deleting a large model. */
const LOCKS = 4;

/** Wraps a storage so that every call answers in time or rejects. */
export function answering(storage: Storage, milliseconds: number = ANSWER_MS): Storage {
  const { blobs, manifests, locks } = storage;
  return {
    blobs: inTime(blobs, 'the file system', milliseconds),
    manifests: inTime(manifests, 'IndexedDB', milliseconds),
    locks: locks && answeringLocks(locks, LOCKS * milliseconds),
    estimate: () => answered(storage.estimate(), 'the quota', milliseconds),
  };
}

/** Wraps locks that are only held for a short time. A lock that is granted too late is released. */
export function answeringLocks(locks: Locks, milliseconds: number = LOCKS * ANSWER_MS): Locks {
  const limited = <R extends Release | undefined>(waiting: Promise<R>): Promise<R> => {
    let late = false;
    void waiting.then(
      (release) => late && release?.(),
      () => undefined,
    );
    return answered(waiting, 'Web Locks', milliseconds).catch((error: unknown) => {
      late = true;
      throw error;
    });
  };
  return {
    tryHold: (name) => limited(locks.tryHold(name)),
    hold: (name, options) => limited(locks.hold(name, options)),
  };
}

/** Wraps an object whose methods all return promises, so that they resolve in time or reject. */
function inTime<T extends object>(target: T, what: string, milliseconds: number): T {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => answered(value.apply(object, args) as Promise<unknown>, what, milliseconds);
    },
  });
}
