/** The page's way to a worker that it shares with others of its origin; how they find out of each other stands in shared-worker.ts. */

import { messageOf } from './download/http.js';
import { Connection } from './engine.js';
import { WeftError } from './errors.js';
import type { Entered, Entry, LoadCall } from './protocol.js';
import { browserLocks, heldLocks, type Release } from './store/locks.js';

/** The package's: pages of two versions share nothing. */
export const VERSION = '0.1.0';

/** The same for calls that one model can serve. Threads there are none, and a token decides what may be fetched, not what it is. */
export function nameOf({ files, sha256, device, contextLength, quantize, store }: LoadCall): string {
  const addresses = files.map((file) => ('url' in file ? file.url : ''));
  return `weft ${VERSION} ${JSON.stringify({ addresses, sha256, device, contextLength, quantize, store })}`;
}

/** Errors are the signal's reason, or say why there is no shared worker. */
export async function connectShared(call: LoadCall, signal?: AbortSignal): Promise<Connection> {
  if (typeof SharedWorker === 'undefined') throw new WeftError('NOT_SUPPORTED', 'this browser has no shared workers.');
  if (!navigator.locks) {
    throw new WeftError('NOT_SUPPORTED', 'sharing needs Web Locks, which pages have over https and on localhost.');
  }
  const model = nameOf(call);
  const life = `page ${crypto.randomUUID()}`;
  const leave = await browserLocks.hold(life);
  try {
    const release = await browserLocks.hold(model, signal ? { signal } : {});
    try {
      // A name is never used again: the browser may still know the worker that had it when that one has closed.
      const running = await heldLocks(`${model} `);
      for (const name of [...running, `${model} ${crypto.randomUUID()}`]) {
        const port = await enter(name, running.includes(name), life, signal);
        if (port) return connectionTo(port, name, leave);
      }
    } finally {
      release();
    }
    throw notStarted('it ended at once');
  } catch (error) {
    leave();
    throw error;
  }
}

function startWorker(name: string): SharedWorker {
  try {
    // Bundlers look for this very expression.
    return new SharedWorker(new URL('./shared-worker.js', import.meta.url), { type: 'module', name });
  } catch (cause) {
    throw notStarted(messageOf(cause), { cause });
  }
}

/** The port on which calls may follow; undefined where a running worker has ended, or is another one than this page can reach. */
async function enter(
  name: string,
  isRunning: boolean,
  life: string,
  signal: AbortSignal | undefined,
): Promise<MessagePort | undefined> {
  const worker = startWorker(name);
  const { port } = worker;
  const over = new AbortController();
  let abort = () => {};
  let isWelcome = false;
  try {
    isWelcome = await new Promise<boolean>((resolve, reject) => {
      abort = () => reject(signal?.reason);
      signal?.addEventListener('abort', abort);
      worker.onerror = (event) => reject(notStarted(event.message || 'its script could not be loaded'));
      port.onmessage = ({ data: entered }: MessageEvent<Entered>) => resolve(entered.type === 'welcome');
      if (isRunning) whenGone(name, over.signal, () => resolve(false));
      port.postMessage({ type: 'enter', life } satisfies Entry);
    });
    return isWelcome ? port : undefined;
  } finally {
    over.abort();
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

/** Calls `act` when the worker of that name, which holds its lock now, has ended; unless the signal is aborted first. */
function whenGone(name: string, signal: AbortSignal, act: () => void): void {
  browserLocks.hold(name, { signal }).then(
    (release) => {
      release();
      act();
    },
    () => undefined, // aborted
  );
}

function notStarted(what: string, options?: ErrorOptions): WeftError {
  const remedy = 'Is dist/shared-worker.js served as JavaScript beside dist/worker.js, and does the bundler keep it?';
  return new WeftError('WORKER_FAILED', `the shared worker did not start: ${what}. ${remedy}`, options);
}
