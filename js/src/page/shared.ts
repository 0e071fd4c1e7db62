/** The page's way to a worker that it shares with others of its origin; how they find out of each other stands in shared-worker.ts. */

import { WeftError } from '../common/errors.js';
import type { Entered, Entry, LoadCall } from '../common/protocol.js';
import { ANSWER_MS } from '../store/answer.js';
import { answeringLocks } from '../store/answering.js';
import { browserLocks, heldLocks, type Release } from '../store/locks.js';
import { Connection } from './connection.js';
import { isElsewhere, spawn } from './spawn.js';

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
  if (isElsewhere()) {
    throw new WeftError(
      'NOT_SUPPORTED',
      "the package's files are of another origin, whose worker no two pages can share.",
    );
  }
  const model = nameOf(call);
  const life = `page ${crypto.randomUUID()}`;
  // nobody else asks for that one
  const leave = await answeringLocks(browserLocks, ANSWER_MS).hold(life);
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
    throw new WeftError('WORKER_FAILED', 'the shared worker ended as soon as it started.');
  } catch (error) {
    leave();
    throw error;
  }
}

/** The port on which calls may follow; undefined where a running worker has ended, or is another one than this page can reach. */
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
