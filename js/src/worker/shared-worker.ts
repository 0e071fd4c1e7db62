/**
 * The worker of all pages that use the same model. It closes when the last page has left.
 *
 * Neither side is notified when the other dies, so each holds a lock while it lives and waits for
 * the other's. Pages find the worker by the name of its lock, which starts with the model's name. A
 * page enters, and an unused worker closes, only while holding the lock with the model's name.
 */

import { serializeError } from '../common/errors.js';
import type { Entry, Port, Reply, Request } from '../common/protocol.js';
import { browserDownloads } from '../download/browser.js';
import { browserLocks } from '../store/locks.js';
import { Service } from './serve.js';
import { starting } from './start.js';

/** Missing in TypeScript's DOM library. */
interface SharedScope {
  readonly name: string;
  onconnect: (event: MessageEvent) => void;
  close(): void;
}

export function serveShared(): void {
  const scope = globalThis as unknown as SharedScope;
  const model = scope.name.slice(0, scope.name.lastIndexOf(' '));
  // Undefined if another copy of the package, at another URL, holds the lock: sharing is by URL.
  // This worker stays until its pages are closed, to tell so to the next page.
  const alive = browserLocks.tryHold(scope.name);
  const service = new Service(starting(), browserDownloads, () => void close());

  scope.onconnect = ({ ports: [port] }) => {
    port!.onmessage = ({ data }: MessageEvent<Entry>) => void enter(port!, data.life);
  };
  globalThis.onerror = (_event, _source, _line, _column, error) => {
    const { message } = serializeError(error);
    service.end({ code: 'CRASHED', message: `the worker crashed: ${message}. Load the model again.` });
  };

  /** `page`: the lock that the page holds while it lives. */
  async function enter(port: Port<Reply, Request>, page: string): Promise<void> {
    if (!(await alive) || service.ended) return port.postMessage({ type: 'ended' });
    const drop = service.connect(port);
    port.postMessage({ type: 'welcome' });
    const release = await browserLocks.hold(page);
    release();
    drop();
  }

  async function close(): Promise<void> {
    const release = await browserLocks.hold(model);
    if (service.used) release();
    else scope.close();
  }
}
