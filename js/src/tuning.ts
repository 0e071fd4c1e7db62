/**
 * Remembers which kernels were found to be the best on a GPU, from one visit to the next. It only saves time, so that a
 * browser that stores nothing, or fails to, is one that remembers nothing.
 */

/** Text by key. */
export interface Store {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
}

export interface Tuning {
  /** What was remembered, or null. */
  recall(): Promise<string | null>;
  remember(tuning: string): Promise<void>;
}

/** `version` of the kernels, and `adapter`, the key of the GPU that they were tried on. */
export function tuningOf(store: Store, version: string, adapter: string): Tuning {
  const key = `${version} ${adapter}`;
  return {
    recall: () => store.get(key).then((found) => found ?? null, nothing),
    remember: (tuning) => store.set(key, tuning).catch(() => undefined),
  };
}

const nothing = () => null;

const NAME = 'weft';
const TABLE = 'tuning';

/** The one kind of storage that workers have for small things. */
export const browserStore: Store = {
  get: (key) => transact('readonly', (table) => table.get(key) as IDBRequest<string | undefined>),
  set: async (key, value) => void (await transact('readwrite', (table) => table.put(value, key))),
};

async function transact<T>(mode: IDBTransactionMode, act: (table: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE);
  const database = await settled(opening);
  try {
    return await settled(act(database.transaction(TABLE, mode).objectStore(TABLE)));
  } finally {
    database.close();
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the browser gave no reason'));
  });
}
