/** What downloads and the store need of the browser. */

import type { Fetch } from './download/http.js';
import { sleep, type Sleep } from './download/retry.js';
import { browserBlobs } from './store/blobs.js';
import { browserTable } from './store/database.js';
import type { Storage } from './store/file.js';
import { browserLocks, type Locks } from './store/locks.js';
import { Manifests } from './store/manifest.js';

export interface Downloads {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  /** Milliseconds without a byte after which a connection counts as broken. */
  readonly stallMs: number;
  /** Undefined where this browser stores nothing for this page. */
  storage(): Promise<Storage | undefined>;
  readonly locks: Locks | undefined;
}

let opened: Promise<Storage | undefined> | undefined;

async function open(): Promise<Storage | undefined> {
  const blobs = await browserBlobs();
  if (!blobs) return undefined;
  return { blobs, manifests: new Manifests(browserTable('models')), estimate: () => navigator.storage.estimate() };
}

export const browserDownloads: Downloads = {
  fetch: (url, init) => fetch(url, init),
  sleep,
  stallMs: 30_000,
  storage: () => (opened ??= open()),
  locks: globalThis.navigator?.locks ? browserLocks : undefined,
};
