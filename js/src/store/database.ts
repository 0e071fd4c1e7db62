/** Small values that outlive the visit, in IndexedDB: the only such storage in workers. */

import { answered, NoAnswer } from './answer.js';

/** Values by key. Every method rejects if the browser stores nothing. */
export interface Rows<T> {
  get(key: string): Promise<T | undefined>;
  /** Entries whose key starts with `prefix`, in the order of keys. */
  entries(prefix: string): Promise<[string, T][]>;
  set(key: string, value: T): Promise<void>;
  delete(keys: readonly string[]): Promise<void>;
}

export interface Table<T> extends Rows<T> {
  /**
   * Reads and writes in one transaction, isolated from other tabs. If `work` rejects, nothing is
   * written. `work` must await nothing but its rows.
   */
  atomically<R>(work: (rows: Rows<T>) => Promise<R>): Promise<R>;
}

const NAME = 'weft';
const TABLES = ['tuning', 'models'] as const;

/** Version of the layout. Version 3 stores chunks under the copy of a file that they belong to. */
const VERSION = 3;

/** Greater than every character in a key. */
const LAST = '\uffff';

export function browserTable<T>(name: (typeof TABLES)[number]): Table<T> {
  let connection: Promise<IDBDatabase> | undefined;
  const forget = () => (connection = undefined);

  async function run<R>(mode: IDBTransactionMode, work: (rows: Rows<T>) => Promise<R>): Promise<R> {
    // Keep the connection, since a model has a thousand chunks; retry one that failed.
    connection ??= open(forget);
    const database = await connection.catch((error: unknown) => {
      forget();
      throw error;
    });
    const transaction = database.transaction(name, mode);
    const over = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? noReason());
    });
    over.catch(() => undefined); // awaited below, unless the work fails first
    let result: R;
    try {
      result = await work(rowsOf(transaction.objectStore(name)));
    } catch (error) {
      abort(transaction);
      throw error;
    }
    await over;
    return result;
  }

  const transact: typeof run = (mode, work) =>
    answered(run(mode, work), 'IndexedDB').catch((error: unknown) => {
      if (error instanceof NoAnswer) forget();
      throw error;
    });

  return {
    get: (key) => transact('readonly', (rows) => rows.get(key)),
    entries: (prefix) => transact('readonly', (rows) => rows.entries(prefix)),
    set: (key, value) => transact('readwrite', (rows) => rows.set(key, value)),
    delete: (keys) => transact('readwrite', (rows) => rows.delete(keys)),
    atomically: (work) => transact('readwrite', work),
  };
}

function rowsOf<T>(table: IDBObjectStore): Rows<T> {
  return {
    get: (key) => resultOf(table.get(key) as IDBRequest<T | undefined>),
    async entries(prefix) {
      const range = IDBKeyRange.bound(prefix, prefix + LAST);
      const [keys, values] = await Promise.all([
        resultOf(table.getAllKeys(range)),
        resultOf(table.getAll(range) as IDBRequest<T[]>),
      ]);
      return keys.map((key, index) => [String(key), values[index]!]);
    },
    set: async (key, value) => void (await resultOf(table.put(value, key))),
    async delete(keys) {
      await Promise.all(keys.map((key) => resultOf(table.delete(key))));
    },
  };
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? noReason());
  });
}

function abort(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {
    // already over
  }
}

function open(closed: () => unknown): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, VERSION);
    let refused = false;
    opening.onupgradeneeded = ({ oldVersion }) => {
      const database = opening.result;
      // Older layouts cannot be read: models are downloaded again, and the sweep deletes their
      // chunks.
      if (oldVersion > 0 && database.objectStoreNames.contains('models')) database.deleteObjectStore('models');
      for (const table of TABLES) {
        if (!database.objectStoreNames.contains(table)) database.createObjectStore(table);
      }
    };
    opening.onsuccess = () => {
      const database = opening.result;
      if (refused) return database.close();
      database.onclose = closed;
      // A later version of this page in another tab waits for this.
      database.onversionchange = () => {
        database.close();
        closed();
      };
      resolve(database);
    };
    opening.onblocked = () => {
      refused = true;
      reject(new Error('another tab keeps an older version of the store open: close or reload it'));
    };
    opening.onerror = () => reject(opening.error ?? noReason());
  });
}

function noReason(): Error {
  return new Error('the browser gave no reason');
}
