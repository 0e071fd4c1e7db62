/**
 * Remembers which kernels were found to be the best on a GPU, from one visit to the next. It only saves time, so that a
 * browser that stores nothing, or fails to, is one that remembers nothing.
 */

import { browserTable, type Table } from '../store/database.js';

type Store = Pick<Table<string>, 'get' | 'set'>;

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

export const browserStore: Store = browserTable('tuning');
