/** Connects the page to a shared worker. shared-worker.ts explains how they find each other. */

import { WeftError } from '../common/errors.js';
import type { Entered, Entry, LoadCall } from '../common/protocol.js';
import type { FileSource } from '../common/source.js';
import { ANSWER_MS } from '../store/answer.js';
import { answeringLocks } from '../store/answering.js';
import { browserLocks, heldLocks, type Release } from '../store/locks.js';
import { Connection } from './connection.js';
import { isElsewhere, spawn } from './spawn.js';

/** Version of the package: pages with different versions do not share. */
export const VERSION = '0.1.0';

/**
 * The key of a shared model: equal for calls that one loaded model can serve. Threads and token do
 * not matter, because a shared worker has one thread and the token does not change the file.
 */
export function nameOf(call: LoadCall): string {
  const { files, projector, sha256, device, contextLength, ropeScaling, quantize, kvCache, prefixCache, store } = call;
  const addresses = files.map(addressOf);
  const towers = projector ? { projector: addressOf(projector) } : {};
  const alike = {
    addresses,
    ...towers,
    sha256,
    device,
    contextLength,
    ropeScaling,
    quantize,
    kvCache,
    prefixCache,
    store,
  };
  return `weft ${VERSION} ${JSON.stringify(alike)}`;
}

const addressOf = (file: FileSource) => ('url' in file ? file.url : '');

/** Rejects with the signal's reason, or with an error that says why there is no shared worker. */
export async function connectShared(call: LoadCall, signal?: AbortSignal): Promise<Connection> {
  if (typeof SharedWorker === 'undefined') throw new WeftError('NOT_SUPPORTED', 'this browser has no shared workers.');
  if (!navigator.locks) {
    throw new WeftError('NOT_SUPPORTED', 'sharing needs Web Locks, which pages have over https and on localhost.');
  }
  if (isElsewhere()) {
    throw new WeftError(
      'NOT_SUPPORTED',
      "the package's files are of another origin, whose worker no two pages can share.",
    );
  }
  const model = nameOf(call);
  const life = `page ${crypto.randomUUID()}`;
  // no other tab requests this lock
  const leave = await answeringLocks(browserLocks, ANSWER_MS).hold(life);
  try {
    const release = await browserLocks.hold(model, signal ? { signal } : {});
    try {
      // A name is never reused: the browser may still know a closed worker by it.
      const running = await heldLocks(`${model} `);
      for (const name of [...running, `${model} ${crypto.randomUUID()}`]) {
        const port = await enter(name, running.includes(name), life, signal);
        if (port) return connectionTo(port, name, leave);
      }
    } finally {
      release();
    }
    throw new WeftError('WORKER_FAILED', 'the shared worker ended as soon as it started.');
  } catch (error) {
    leave();
    throw error;
  }
}

/**
 * Returns the port for calls; undefined if the worker has ended, or is not reachable from this
 * page.
 */
async function enter(
  name: string,
  isRunning: boolean,
  life: string,
  signal: AbortSignal | undefined,
): Promise<MessagePort | undefined> {
  const { worker, explain, release } = spawn((url) => new SharedWorker(url, { type: 'module', name }));
  const { port } = worker;
  const over = new AbortController();
  let abort = () => {};
  let isWelcome = false;
  try {
    isWelcome = await new Promise<boolean>((resolve, reject) => {
      abort = () => reject(signal?.reason);
      signal?.addEventListener('abort', abort);
      worker.onerror = (event) => void explain(event as ErrorEvent).then(reject);
      port.onmessage = ({ data: entered }: MessageEvent<Entered>) => resolve(entered.type === 'welcome');
      if (isRunning) whenGone(name, over.signal, () => resolve(false));
      port.postMessage({ type: 'enter', life } satisfies Entry);
    });
    return isWelcome ? port : undefined;
  } finally {
    over.abort();
    release();
    signal?.removeEventListener('abort', abort);
    if (!isWelcome) port.close();
  }
}

function connectionTo(port: MessagePort, name: string, leave: Release): Connection {
  const closed = new AbortController();
  const connection = new Connection(port, () => {
    closed.abort();
    port.close();
    leave();
  });
  const message = 'the shared worker ended; memory may have run out. Load the model again.';
  whenGone(name, closed.signal, () => connection.fail(new WeftError('CRASHED', message)));
  return connection;
}

/**
 * Calls `act` when the worker that holds this lock has ended, unless the signal is aborted first.
 */
function whenGone(name: string, signal: AbortSignal, act: () => void): void {
  browserLocks.hold(name, { signal }).then(
    (release) => {
      release();
      act();
    },
    () => undefined, // aborted
  );
}
