/** Small things that stay from one visit to the next, in IndexedDB: the one kind of storage that workers have for them. */

/** Values by key. Every method rejects where the browser stores nothing. */
export interface Table<T> {
  get(key: string): Promise<T | undefined>;
  set(key: string, value: T): Promise<void>;
  /** What has a key that begins with `prefix`, in the order of keys. */
  entries(prefix: string): Promise<[string, T][]>;
  /** Removes all of these keys, or, where one of them cannot be, none. */
  delete(keys: readonly string[]): Promise<void>;
}

const NAME = 'weft';
const TABLES = ['tuning', 'models'] as const;

/** Greater than every character that a key has. */
const LAST = '\uffff';

export function browserTable<T>(name: (typeof TABLES)[number]): Table<T> {
  let connection: Promise<IDBDatabase> | undefined;

  async function transact<R>(mode: IDBTransactionMode, act: (table: IDBObjectStore) => R): Promise<R> {
    // A connection is kept, for a model has a thousand chunks; one that failed is tried anew.
    connection ??= open(() => (connection = undefined));
    const database = await connection.catch((error: unknown) => {
      connection = undefined;
      throw error;
    });
    const transaction = database.transaction(name, mode);
    const result = act(transaction.objectStore(name));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error('the browser gave no reason'));
    });
    return result;
  }

  return {
    get: async (key) => (await transact('readonly', (table) => table.get(key))).result as T | undefined,
    set: async (key, value) => void (await transact('readwrite', (table) => table.put(value, key))),
    async entries(prefix) {
      const range = IDBKeyRange.bound(prefix, prefix + LAST);
      const [keys, values] = await transact('readonly', (table) => [table.getAllKeys(range), table.getAll(range)]);
      return keys!.result.map((key, index) => [String(key), (values!.result as T[])[index]!]);
    },
    async delete(keys) {
      await transact('readwrite', (table) => keys.forEach((key) => table.delete(key)));
    },
  };
}

function open(closed: () => void): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, 2);
    opening.onupgradeneeded = () => {
      const database = opening.result;
      for (const table of TABLES) {
        if (!database.objectStoreNames.contains(table)) database.createObjectStore(table);
      }
    };
    opening.onsuccess = () => {
      const database = opening.result;
      database.onclose = closed;
      // A later version of this page, in another tab, waits for it.
      database.onversionchange = () => {
        database.close();
        closed();
      };
      resolve(database);
    };
    opening.onerror = () => reject(opening.error ?? new Error('the browser gave no reason'));
  });
}
