/** The parts of the browser that downloads and the store use. */

import { answered } from '../store/answer.js';
import { answering, answeringLocks } from '../store/answering.js';
import { browserBlobs } from '../store/browser-blobs.js';
import { browserTable } from '../store/database.js';
import type { Storage } from '../store/file.js';
import { browserLocks, CHUNKS, type Locks } from '../store/locks.js';
import { Manifests } from '../store/manifest.js';
import { sweep } from '../store/sweep.js';
import type { Fetch } from './http.js';
import { sleep, type Sleep } from './retry.js';

export interface Downloads {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  /** Milliseconds without a byte after which a connection counts as broken. */
  readonly stallMs: number;
  /** Undefined if this browser stores nothing for this page. */
  storage(): Promise<Storage | undefined>;
  readonly locks: Locks | undefined;
  /** Milliseconds after which the storage counts as not answering. Default: {@link ANSWER_MS}. */
  readonly answerMs?: number;
}

let opened: Promise<Storage | undefined> | undefined;

const locks = globalThis.navigator?.locks ? browserLocks : undefined;

async function open(): Promise<Storage | undefined> {
  const release = locks && (await answeringLocks(locks).hold(CHUNKS, { mode: 'shared' }));
  const blobs = await answered(browserBlobs(), 'the file system').finally(release);
  if (!blobs) return undefined;
  const manifests = new Manifests(browserTable('models'));
  const storage: Storage = { blobs, manifests, locks, estimate: () => navigator.storage.estimate() };
  // Runs in the background; what it cannot delete now, it finds again.
  sweep(answering(storage)).catch(() => undefined);
  return storage;
}

export const browserDownloads: Downloads = {
  fetch: (url, init) => fetch(url, init),
  sleep,
  stallMs: 30_000,
  storage: () =>
    (opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    })),
  locks,
};
