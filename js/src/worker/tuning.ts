/**
 * Remembers the fastest kernels for a GPU between visits. It only saves time, so errors of the
 * storage are ignored.
 */

import { browserTable, type Table } from '../store/database.js';

type Store = Pick<Table<string>, 'get' | 'set'>;

export interface Tuning {
  /** The remembered value, or null. */
  recall(): Promise<string | null>;
  remember(tuning: string): Promise<void>;
}

/** `version`: of the kernels. `adapter`: key of the GPU that they were tried on. */
export function tuningOf(store: Store, version: string, adapter: string): Tuning {
  const key = `${version} ${adapter}`;
  return {
    recall: () => store.get(key).then((found) => found ?? null, nothing),
    remember: (tuning) => store.set(key, tuning).catch(() => undefined),
  };
}

const nothing = () => null;

export const browserStore: Store = browserTable('tuning');
