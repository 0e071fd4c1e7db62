/**
 * The worker of all pages that want the same model. It closes when the last one has gone, and its memory with it.
 *
 * Neither side hears when the other one dies, so each holds a lock while it lives, for which the other one waits. Who enters holds a
 * third one, named after the model, until it is welcome, and whoever closes the worker must have it: nobody enters one that closes.
 */

import { browserDownloads } from './downloads.js';
import { serializeError } from './errors.js';
import type { Entry, Port, Reply, Request } from './protocol.js';
import { Host } from './serve.js';
import { starting } from './start.js';
import { browserLocks } from './store/locks.js';

/** TypeScript's library of pages lacks it. */
interface SharedScope {
  readonly name: string;
  onconnect: (event: MessageEvent) => void;
  close(): void;
}

const scope = globalThis as unknown as SharedScope;
const life = `worker ${crypto.randomUUID()}`;
const alive = browserLocks.hold(life);
const host = new Host(starting(), browserDownloads, () => void close());

scope.onconnect = ({ ports: [port] }) => {
  port!.onmessage = ({ data }: MessageEvent<Entry>) => void enter(port!, data.life);
};
globalThis.onerror = (_event, _source, _line, _column, error) => {
  const { message } = serializeError(error);
  host.end({ code: 'CRASHED', message: `the worker crashed: ${message}. Load the model again.` });
};

/** `page`: the lock that the page holds while it lives. */
async function enter(port: Port<Reply, Request>, page: string): Promise<void> {
  await alive;
  if (host.ended) return port.postMessage({ type: 'closing' });
  const drop = host.connect(port);
  port.postMessage({ type: 'welcome', life });
  const release = await browserLocks.hold(page);
  release();
  drop();
}

async function close(): Promise<void> {
  const release = await browserLocks.hold(scope.name);
  if (host.used) release();
  else scope.close();
}
