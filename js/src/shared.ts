/** The page's way to a worker that it shares with others of its origin; how they find out of each other stands in shared-worker.ts. */

import { messageOf } from './download/http.js';
import { Connection } from './engine.js';
import { WeftError } from './errors.js';
import type { Entered, Entry, LoadCall } from './protocol.js';
import { browserLocks, type Release } from './store/locks.js';

/** The package's: pages of two versions share nothing. */
export const VERSION = '0.1.0';

/** The same for calls that one model can serve. Threads there are none, and a token decides what may be fetched, not what it is. */
export function nameOf({ files, sha256, device, contextLength, store }: LoadCall): string {
  const addresses = files.map((file) => (file.type === 'address' ? file.url : ''));
  return `weft ${VERSION} ${JSON.stringify({ addresses, sha256, device, contextLength, store })}`;
}

/** Errors are the signal's reason, or say why there is no shared worker. */
export async function connectShared(call: LoadCall, signal?: AbortSignal): Promise<Connection> {
  if (typeof SharedWorker === 'undefined') throw new WeftError('NOT_SUPPORTED', 'this browser has no shared workers.');
  if (!navigator.locks) {
    throw new WeftError('NOT_SUPPORTED', 'sharing needs Web Locks, which pages have over https and on localhost.');
  }
  const name = nameOf(call);
  const life = `page ${crypto.randomUUID()}`;
  const leave = await browserLocks.hold(life);
  try {
    for (;;) {
      const release = await browserLocks.hold(name, signal ? { signal } : {});
      try {
        const connection = await enter(startWorker(name), life, leave, signal);
        if (connection) return connection;
      } finally {
        release();
      }
    }
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

/** Undefined where the worker closes, and another one must be started when it is gone. */
function enter(
  worker: SharedWorker,
  life: string,
  leave: Release,
  signal: AbortSignal | undefined,
): Promise<Connection | undefined> {
  const { port } = worker;
  let abort = () => {};
  const entering = new Promise<Connection | undefined>((resolve, reject) => {
    abort = () => {
      port.close();
      reject(signal?.reason);
    };
    worker.onerror = (event) => reject(notStarted(event.message || 'its script could not be loaded'));
    port.onmessage = ({ data: entered }: MessageEvent<Entered>) => {
      resolve(entered.type === 'welcome' ? connectionTo(port, entered.life, leave) : undefined);
    };
    port.postMessage({ type: 'enter', life } satisfies Entry);
  });
  signal?.addEventListener('abort', abort);
  return entering.finally(() => signal?.removeEventListener('abort', abort));
}

/** `life`: what the worker holds while it lives. */
function connectionTo(port: MessagePort, life: string, leave: Release): Connection {
  const closed = new AbortController();
  const connection = new Connection(port, () => {
    closed.abort();
    port.close();
    leave();
  });
  const died = 'the shared worker ended; memory may have run out. Load the model again.';
  browserLocks.hold(life, { signal: closed.signal }).then(
    (release) => {
      release();
      connection.fail(new WeftError('CRASHED', died));
    },
    () => undefined, // closed
  );
  return connection;
}

function notStarted(what: string, options?: ErrorOptions): WeftError {
  const remedy = 'Is dist/shared-worker.js served as JavaScript beside dist/worker.js, and does the bundler keep it?';
  return new WeftError('WORKER_FAILED', `the shared worker did not start: ${what}. ${remedy}`, options);
}
